import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';

/** Remembers the processes that it is told of, and kills those that are left when its input ends. */
const GUARD = `
  const guarded = new Set();
  require('node:readline')
    .createInterface({ input: process.stdin })
    .on('line', (line) => {
      const [verb, pid] = line.split(' ');
      guarded[verb](Number(pid));
    })
    .on('close', () => {
      for (const pid of guarded) try { process.kill(pid, 'SIGKILL'); } catch {}
    });
`;

/** The guard's input: the system closes it when this process is gone, however that ended. */
let guard: Socket | undefined;

function startGuard(): Socket {
  // In a group of its own, as the Ctrl-C that ends this process must not end the guard.
  const child = spawn(process.execPath, ['-e', GUARD], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  child.on('error', () => {});
  child.unref();
  const input = child.stdin as Socket;
  input.on('error', () => {});
  input.unref();
  return input;
}

/**
 * Starts a process that is killed when this one has ended. Another process sees to that: one that is paused, or that
 * runs the program of somebody else, cannot watch its parent.
 * @param kind `group` when it leads a group, which is killed then
 */
export function guarded<Child extends ChildProcess>(
  start: () => Child,
  kind: 'process' | 'group' = 'process',
): Child {
  // The guard comes first: this process may be killed at any moment.
  guard ??= startGuard();
  const child = start();
  if (child.pid !== undefined) {
    const id = kind === 'group' ? -child.pid : child.pid;
    guard.write(`add ${id}\n`);
    // Its number may be given to another process now.
    child.once('exit', () => guard!.write(`delete ${id}\n`));
  }
  return child;
}
