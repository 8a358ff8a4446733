import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';

const ROOT = join(import.meta.dirname, '..');

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('a process that is busy in native code ends with its killed parent', async () => {
  const child = `
    import { endWithParent } from '${ROOT}/src/parent.ts';
    endWithParent();
    setTimeout(() => {
      console.log(process.pid);
      for (;;);
    }, 500);
  `;
  const parent = `
    import { spawn } from 'node:child_process';
    spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', ${JSON.stringify(child)}], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    });
  `;
  const started = spawn(process.execPath, ['--input-type=module', '-e', parent], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(started.stdout, 'data');
  const pid = Number(String(line));
  started.kill('SIGKILL');
  try {
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), 5000);
  } finally {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  }
});
