import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { acquireLock } from '../src/lock.js';
import { errorOf, temporaryFolder } from './data/store/tiles-sample.js';

const ROOT = join(import.meta.dirname, '..');
const root = temporaryFolder();
let count = 0;
function newFolder(): string {
  const folder = join(root, `${count++}`);
  mkdirSync(folder);
  return folder;
}

/** A process that has ended, so that no living one has its number. */
const deadPid = () => spawnSync('true').pid;

/** A folder whose lock says what is given; the rest is as this process would have it. */
function lockedFolder(changes: object): string {
  const folder = newFolder();
  const lock = acquireLock(folder, 'pretrain');
  const holder = JSON.parse(readFileSync(join(folder, '.lock'), 'utf8'));
  lock.release();
  writeFileSync(join(folder, '.lock'), JSON.stringify({ ...holder, ...changes }));
  return folder;
}

/** The lock of another host in a folder, last written some minutes ago. */
function foreignFolder(minutes: number): string {
  const folder = lockedFolder({ host: 'elsewhere', pid: deadPid() });
  const written = new Date(Date.now() - 60_000 * minutes);
  utimesSync(join(folder, '.lock'), written, written);
  return folder;
}

/** Starts a process of its own that has `acquireLock`. */
function spawnLocking(script: string) {
  const code = `import { acquireLock } from '${ROOT}/src/lock.ts';\n${script}`;
  const args = ['--import', 'tsx', '--input-type=module', '-e', code];
  return spawn(process.execPath, args, { cwd: ROOT, stdio: ['pipe', 'pipe', 'ignore'] });
}

describe('a lock', () => {
  test('keeps others out until it is released, and leaves nothing behind', () => {
    const folder = newFolder();
    const lock = acquireLock(folder, 'pretrain');
    expect(() => acquireLock(folder, 'report')).toThrow('another process is using this folder');
    lock.release();
    expect(readdirSync(folder)).toEqual([]);
    acquireLock(folder, 'report').release();
  });

  test('of a living process is refused, and the message says whose it is', async () => {
    const folder = newFolder();
    const child = spawnLocking(
      `acquireLock('${folder}', 'pretrain'); console.log('taken'); process.stdin.resume();`,
    );
    const exited = once(child, 'exit');
    await once(child.stdout, 'data');
    const error = errorOf(() => acquireLock(folder, 'report'));
    expect(error).toMatchObject({ name: 'UserError', kind: 'run' });
    expect(error.message).toContain(`pretrain, process ${child.pid} on ${hostname()}, since 20`);
    // It ends without releasing: that happens on exit.
    child.stdin.end();
    await exited;
    expect(readdirSync(folder)).toEqual([]);
  });

  test('of a process that died is taken over', () => {
    const folder = lockedFolder({ pid: deadPid() });
    const lock = acquireLock(folder, 'report');
    expect(JSON.parse(readFileSync(join(folder, '.lock'), 'utf8'))).toMatchObject({ pid: process.pid });
    expect(readdirSync(folder)).toEqual(['.lock']);
    lock.release();
  });

  test('is taken over when the number of its process belongs to another one now', (context) => {
    if (!existsSync('/proc')) return context.skip('there is no /proc here');
    acquireLock(lockedFolder({ pid: process.ppid, processStart: '1' }), 'report').release();
  });

  test('of another user is told by when its process was started, where that can be read', (context) => {
    if (!existsSync('/proc')) return context.skip('there is no /proc here');
    const kill = vi.spyOn(process, 'kill').mockImplementation(() => {
      throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
    });
    try {
      acquireLock(lockedFolder({ pid: process.ppid, processStart: '1' }), 'report').release();
      for (const holder of [{}, { pid: deadPid() }, { pid: process.ppid, processStart: null }])
        expect(() => acquireLock(lockedFolder(holder), 'report')).toThrow('another process is using');
    } finally {
      kill.mockRestore();
    }
  });

  test('is taken over when its process was killed but is still listed', async (context) => {
    if (!existsSync('/proc')) return context.skip('there is no /proc here');
    // The shell becomes `sleep`, which never asks how its child ended. A shell might, so the child dies after.
    const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [line] = await once(parent.stdout, 'data');
    const zombie = Number(String(line));
    await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, 'utf8')).toBe('sleep\n');
    process.kill(zombie, 'SIGKILL');
    const stat = () => readFileSync(`/proc/${zombie}/stat`, 'utf8').split(' ');
    await expect.poll(() => stat()[2]).toBe('Z');
    acquireLock(lockedFolder({ pid: zombie, processStart: stat()[21] }), 'report').release();
    parent.kill();
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)(
    'is released by a process that is asked to end, by %s, with its unfinished files',
    async (signal, code) => {
      const folder = newFolder();
      const child = spawnLocking(`
      import { exitWhenTerminated } from '${ROOT}/src/termination.ts';
      import { AtomicFile } from '${ROOT}/src/files.ts';
      exitWhenTerminated();
      new AtomicFile(${JSON.stringify(join(folder, 'mask.nii'))});
      acquireLock(${JSON.stringify(folder)}, 'pretrain');
      console.log('held');
      setInterval(() => {}, 1000);
    `);
      await once(child.stdout, 'data');
      expect(readdirSync(folder).sort()).toEqual([
        '.lock',
        expect.stringMatching(/^\.mask\.nii\.[0-9a-f]{8}\.tmp$/),
      ]);
      child.kill(signal);
      expect(await once(child, 'exit')).toEqual([code, null]);
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  test('has its content as soon as it is there: a process may be killed at any moment', async () => {
    const folder = newFolder();
    const child = spawnLocking(
      `console.log('ready'); for (;;) acquireLock(${JSON.stringify(folder)}, 'report').release();`,
    );
    await once(child.stdout, 'data');
    let seen = 0;
    for (const end = Date.now() + 500; Date.now() < end; ) {
      try {
        expect(readFileSync(join(folder, '.lock'), 'utf8')).toMatch(/^\{.*\}$/);
        seen++;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(seen).toBeGreaterThan(10);
  });

  test('of another host is refused, and the message says how to remove it', () => {
    const folder = lockedFolder({ host: 'elsewhere', pid: deadPid() });
    const { message } = errorOf(() => acquireLock(folder, 'report'));
    expect(message).toContain('on elsewhere');
    expect(message).toContain(`if it is no longer running, delete ${join(folder, '.lock')}`);
  });

  test('of another host is taken over when it has not been written for more than ten minutes', () => {
    expect(() => acquireLock(foreignFolder(9), 'report')).toThrow('on elsewhere');
    const folder = foreignFolder(11);
    const lock = acquireLock(folder, 'report');
    expect(readdirSync(folder)).toEqual(['.lock']);
    lock.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('of another container of this host is refused, and taken over after two minutes', () => {
    const changes = { system: 'another start pid:[1]', pid: process.pid };
    const folder = lockedFolder(changes);
    const { message } = errorOf(() => acquireLock(folder, 'export'));
    expect(message).toMatch(/another process is using this folder[\s\S]*try again after 2 minutes/);
    const written = new Date(Date.now() - 130_000);
    utimesSync(join(folder, '.lock'), written, written);
    acquireLock(folder, 'export').release();
  });

  test('of an earlier version, which did not say of which container, is that of its process', () => {
    acquireLock(lockedFolder({ system: undefined, pid: deadPid() }), 'export').release();
    const folder = lockedFolder({ system: undefined });
    expect(errorOf(() => acquireLock(folder, 'export')).message).toContain('wait for it to finish');
  });

  test('of a shard on another host does not keep out the whole for longer', () => {
    const shard = (minutes: number) => {
      const folder = foreignFolder(minutes);
      renameSync(join(folder, '.lock'), join(folder, '.lock.shard-1-of-2'));
      return folder;
    };
    expect(() => acquireLock(shard(9), 'embed')).toThrow('on elsewhere');
    acquireLock(shard(11), 'embed').release();
    acquireLock(shard(11), 'embed', { index: 1, count: 2 }).release();
  });

  test('is written again while it is held, as long as it is there and its own', () => {
    vi.useFakeTimers();
    try {
      const folder = newFolder();
      const path = join(folder, '.lock');
      const lock = acquireLock(folder, 'pretrain');
      const text = readFileSync(path, 'utf8');
      const ageAfterAMinute = () => {
        utimesSync(path, new Date(0), new Date(0));
        vi.advanceTimersByTime(60_000);
        return Date.now() - statSync(path).mtimeMs;
      };
      expect(ageAfterAMinute()).toBeLessThan(600_000);
      expect(readFileSync(path, 'utf8')).toBe(text);
      writeFileSync(path, text.replace('pretrain', 'another!'));
      expect(ageAfterAMinute()).toBeGreaterThan(600_000);
      rmSync(path);
      vi.advanceTimersByTime(60_000);
      expect(readdirSync(folder)).toEqual([]);
      lock.release();
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('that cannot be read is being written at first, and void later', () => {
    const folder = newFolder();
    const path = join(folder, '.lock');
    writeFileSync(path, '{"pid":');
    expect(() => acquireLock(folder, 'report')).toThrow('just starting');
    utimesSync(path, new Date(), new Date(Date.now() - 60_000));
    acquireLock(folder, 'report').release();
  });

  test('that cannot be read is void when it is from the future: clocks differ', () => {
    const folder = newFolder();
    const path = join(folder, '.lock');
    writeFileSync(path, '');
    utimesSync(path, new Date(), new Date(Date.now() + 3_600_000));
    acquireLock(folder, 'report').release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('that another process has by now is not released', () => {
    const folder = newFolder();
    const lock = acquireLock(folder, 'pretrain');
    const other = JSON.stringify({
      pid: process.ppid,
      host: 'elsewhere',
      processStart: null,
      since: '',
      purpose: '',
    });
    writeFileSync(join(folder, '.lock'), other);
    lock.release();
    expect(readFileSync(join(folder, '.lock'), 'utf8')).toBe(other);
  });

  test('survives a taker that was killed while taking over', () => {
    const folder = lockedFolder({ pid: deadPid() });
    writeFileSync(join(folder, '.lock.takeover'), readFileSync(join(folder, '.lock')));
    acquireLock(folder, 'report').release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('says what is in its way: no folder, a link to nowhere', () => {
    expect(errorOf(() => acquireLock(join(root, 'none'), 'x'))).toMatchObject({ kind: 'disk' });
    const folder = newFolder();
    symlinkSync(join(folder, 'nowhere'), join(folder, '.lock'));
    expect(errorOf(() => acquireLock(folder, 'x')).message).toMatch(
      /\.lock: this file or folder is where the lock file must be[\s\S]*delete/,
    );
  });
});

test.each<[string, () => string]>([
  ['dead', () => lockedFolder({ pid: deadPid() })],
  ['expired', () => foreignFolder(11)],
])('of several processes that find the same %s lock exactly one takes it over', async (_, make) => {
  const folders = Array.from({ length: 150 }, make);
  const children = Array.from({ length: 2 }, () =>
    spawnLocking(`
      process.stdin.once('data', (start) => {
        const taken = ${JSON.stringify(folders)}.filter((folder, i) => {
          while (Date.now() < Number(start) + 2 * i);
          try { return acquireLock(folder, 'race'); } catch { return false; }
        });
        console.log(JSON.stringify(taken));
      });
      console.log('ready');
    `),
  );
  const answers = () =>
    Promise.all(children.map(async (child) => String((await once(child.stdout, 'data'))[0])));
  await answers();
  const taken = answers();
  // Each folder has its moment, at which all go for it.
  for (const child of children) child.stdin.write(`${Date.now() + 50}`);
  // They hold what they have until they are killed, so none finds another's lock dead.
  const all = (await taken).flatMap((text) => JSON.parse(text) as string[]);
  for (const child of children) child.kill('SIGKILL');
  expect(all.sort()).toEqual(folders.sort());
});
