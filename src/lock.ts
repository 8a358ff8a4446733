import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fromSystemError, UserError } from './errors.js';

/** Keeps other processes out of a folder until it is released. */
export interface Lock {
  release(): void;
}

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process was started, in clock ticks since boot: tells it from a later one with the same number. */
  readonly processStart: string | null;
  readonly since: string;
  readonly purpose: string;
}

/** Field 22 of /proc/<pid>/stat (proc(5)); null where there is no /proc, or no such process. */
function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command in field 2 may hold spaces and brackets.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function isAlive({ pid, processStart: start }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return start === null || processStart(pid) === start;
}

function readHolder(path: string): Holder | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    return null; // gone, or of a process that died before it was written
  }
}

function inUse(folder: string, path: string, { pid, host, since, purpose }: Holder): UserError {
  const elsewhere = host !== hostname();
  return new UserError('run', {
    what: 'another process is using this folder',
    where: folder,
    got: `${purpose}, process ${pid} on ${host}, since ${since}`,
    fix: elsewhere ? `if it has ended, delete ${path}` : 'wait for it to end, or stop it',
  });
}

/**
 * Takes the folder for this process, by a file `.lock` in it. The lock of a process that has died is taken over.
 * @param purpose what others are told that the folder is used for
 * @throws UserError of kind `run` when a living process, or one of another host, holds it
 */
export function acquireLock(folder: string, purpose: string): Lock {
  const path = join(folder, '.lock');
  const own = join(folder, `.lock.${process.pid}.${randomUUID().slice(0, 8)}`);
  const holder: Holder = {
    pid: process.pid,
    host: hostname(),
    processStart: processStart(process.pid),
    since: new Date().toISOString(),
    purpose,
  };
  try {
    writeFileSync(own, JSON.stringify(holder), { flag: 'wx' });
    // A link appears whole or not at all, and never over another one.
    for (let attempt = 0; !tryLink(own, path); attempt++) {
      const other = readHolder(path);
      if (other && (other.host !== hostname() || isAlive(other))) throw inUse(folder, path, other);
      if (attempt > 10)
        throw new UserError('run', { what: 'cannot take over a stale lock', where: path, fix: 'delete it' });
      removeStale(path, own);
    }
  } catch (error) {
    throw fromSystemError(error, folder);
  } finally {
    rmSync(own, { force: true });
  }
  const release = () => {
    process.off('exit', release);
    const current = readHolder(path);
    if (current?.pid === holder.pid && current.since === holder.since) rmSync(path, { force: true });
  };
  process.on('exit', release);
  return { release };
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Moves the dead lock aside first: of two takers only one can move it, and a fresh lock moved by mistake goes back. */
function removeStale(path: string, own: string): void {
  const aside = `${own}.stale`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = readHolder(aside);
  if (moved && isAlive(moved)) tryLink(aside, path);
  rmSync(aside, { force: true });
}
