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

/** Windows has no groups of processes, and nothing that stops them for a while. */
const HAS_GROUPS = process.platform !== 'win32';

/** Becomes a program as soon as it is told to; ends when all who could tell it are gone. */
const WAIT = 'read -r _ <&3 && exec "$@" 3<&-';

/**
 * Starts a program that leads a group of processes, which are killed when this process has ended, at whatever moment that is.
 * Another process sees to that: one that is paused, or that runs the program of somebody else, cannot watch its parent.
 */
export function startGuarded(
  command: readonly string[],
  stdio: 'pipe' | 'ignore',
  env?: NodeJS.ProcessEnv,
): ChildProcess {
  guard ??= startGuard();
  const child = HAS_GROUPS
    ? spawn('/bin/sh', ['-c', WAIT, 'sh', ...command], {
        stdio: [stdio, stdio, stdio, 'pipe'],
        detached: true,
        env,
      })
    : spawn(command[0]!, command.slice(1), { stdio, env });
  if (child.pid !== undefined) {
    const id = HAS_GROUPS ? -child.pid : child.pid;
    const go = child.stdio[3] as Socket | undefined;
    go?.on('error', () => {});
    // The guard comes first: this process may be killed at any moment.
    guard.write(`add ${id}\n`, () => go?.end('\n'));
    // Before all that listens for the end: what is removed then must not be written to any more.
    const kill = () => signalGroup(child, 'SIGKILL');
    process.prependListener('exit', kill);
    child.once('exit', () => {
      process.off('exit', kill);
      // Its number may be given to another process now.
      guard!.write(`delete ${id}\n`);
    });
  }
  return child;
}

/** Sends a signal to a guarded process and all that it has started. */
export function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(HAS_GROUPS ? -pid : pid, signal);
  } catch {} // they have ended already, or the system knows no such signal
}
