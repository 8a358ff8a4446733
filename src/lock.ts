import {
  closeSync,
  fstatSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import * as z from 'zod';
import { fromSystemError, UserError } from './errors.js';
import { temporaryBeside } from './files.js';
import { isAlive, processStart, SYSTEM } from './living-process.js';
import { isShardOf, type Shard, shardEnding } from './shard.js';

/** Keeps other processes out of a folder until it is released. */
export interface Lock {
  release(): void;
}

const holderSchema = z.object({
  pid: z.int().positive(),
  host: z.string(),
  /** Where its number means anything: see {@link systemOf}. Null where that is not known, and in files of earlier versions. */
  system: z.string().nullable().default(null),
  /** When the process was started, in clock ticks since boot: tells it from a later one with the same number. */
  processStart: z.string().nullable(),
  since: z.string(),
  purpose: z.string(),
});
type Holder = z.infer<typeof holderSchema>;

/**
 * A lock file that still cannot be read after this time is of a process that died while writing it (see
 * {@link createInPlace}). So is one from the future: clocks differ between machines, and are set back.
 */
const WRITING_MS = 10_000;
/** How often a lock file is written again, so that other hosts see that its process lives. */
const REFRESH_MS = 30_000;
/**
 * A lock of another host that has not been written for so long is of a process that died. A living one may be late: by a
 * long computation, or while a network drive is away.
 */
const EXPIRY_MS = 600_000;
/**
 * The same of a process of this host, but of another container, or from before the last start: several may have one name. Containers are
 * started again after seconds.
 */
const NEIGHBOUR_EXPIRY_MS = 120_000;
/** More than this, and something that is no lock stands in the way, such as a link to nowhere. */
const MOST_ATTEMPTS = 10;

/** After how long a holder that has not been heard of is dead; null where its process can be looked for. */
function expiryOf({ host, system }: Holder): number | null {
  if (host !== hostname()) return EXPIRY_MS;
  return system === null || system === SYSTEM ? null : NEIGHBOUR_EXPIRY_MS;
}

const hasCode = (error: unknown, code: string) => (error as NodeJS.ErrnoException).code === code;

/** The time by the clock of the file system that a folder is on: those of the machines that share it may differ. */
function timeOn(folder: string): number {
  const path = temporaryBeside(join(folder, 'clock'));
  const fd = openSync(path, 'w');
  try {
    return fstatSync(fd).mtimeMs;
  } finally {
    closeSync(fd);
    rmSync(path, { force: true });
  }
}

/** Who holds a lock file. A process of another host counts as alive as long as it writes the file again and again. */
function holderOf(path: string): Holder | 'starting' | 'dead' | 'none' {
  let text: string;
  let writtenMs: number;
  try {
    text = readFileSync(path, 'utf8');
    writtenMs = statSync(path).mtimeMs;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 'none';
    throw error;
  }
  const holder = parseHolder(text);
  if (!holder) return Math.abs(Date.now() - writtenMs) < WRITING_MS ? 'starting' : 'dead';
  const expiry = expiryOf(holder);
  const alive = expiry === null ? isAlive(holder) : timeOn(dirname(path)) - writtenMs < expiry;
  return alive ? holder : 'dead';
}

function parseHolder(text: string): Holder | null {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** What a lock is for: a folder, or a file. */
interface Locked {
  readonly kind: 'folder' | 'file';
  readonly where: string;
}

function inUse({ kind, where }: Locked, path: string, holder: Holder | 'starting'): UserError {
  const facts = { what: `another process is using this ${kind}`, where };
  if (holder === 'starting')
    return new UserError('run', { ...facts, got: 'a process that is just starting', fix: 'try again' });
  const { pid, host, since, purpose } = holder;
  const expiry = expiryOf(holder);
  return new UserError('run', {
    ...facts,
    got: `${purpose}, process ${pid} on ${host}, since ${since}`,
    fix:
      expiry === null
        ? 'wait for it to finish, or stop it'
        : `if it is no longer running, delete ${path}, or try again after ${expiry / 60_000} minutes`,
  });
}

/**
 * Creates the lock file; false when there is one. It is written beside and then given its name by a hard link, so that it
 * has its content from the first moment, whenever this process is killed.
 */
function create(path: string, holder: Holder): boolean {
  const text = JSON.stringify(holder);
  const temporary = temporaryBeside(path);
  try {
    writeFileSync(temporary, text, { flag: 'wx' });
    return link(temporary, path) ?? createInPlace(path, text);
  } finally {
    try {
      rmSync(temporary, { force: true });
    } catch {
      // The lock is taken, or not, all the same.
    }
  }
}

/** Gives a file one more name; false where that name is taken, null where there are no hard links. */
function link(path: string, name: string): boolean | null {
  try {
    linkSync(path, name);
    return true;
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) return null;
    // A network drive may ask its server twice, and be told of its own link: open(2).
    return statSync(path, { throwIfNoEntry: false })?.nlink === 2;
  }
}

/** Creates the lock file on file systems without hard links, such as FAT and some network drives: others may see it empty. */
function createInPlace(path: string, text: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, 'wx');
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
  try {
    writeSync(fd, text);
    return true;
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Writes a lock file again, unless it is gone or another's by now. */
function refresh(path: string, holder: Holder): void {
  const text = JSON.stringify(holder);
  try {
    const fd = openSync(path, 'r+');
    try {
      // As an open file it stays the same one.
      if (readFileSync(fd, 'utf8') === text) writeSync(fd, text, 0);
    } finally {
      closeSync(fd);
    }
  } catch {
    // A network drive may be back the next time.
  }
}

function take(locked: Locked, path: string, holder: Holder): void {
  for (let attempt = 0; !create(path, holder); attempt++) {
    const other = holderOf(path);
    if (typeof other === 'object' || other === 'starting') throw inUse(locked, path, other);
    if (attempt === MOST_ATTEMPTS)
      throw new UserError('run', {
        what: 'this file or folder is where the lock file must be',
        where: path,
        fix: 'delete it',
      });
    // A dead lock is removed under a lock of its own, after a second look: else one of two that saw it dead
    // could remove the new lock of the other.
    const takeover = `${path}.takeover`;
    take(locked, takeover, holder);
    try {
      if (holderOf(path) === 'dead') rmSync(path);
    } finally {
      rmSync(takeover);
    }
  }
}

/** @throws UserError when a living process holds one of these locks */
function refuseHeld(locked: Locked, paths: readonly string[]): void {
  for (const path of paths) {
    const other = holderOf(path);
    if (typeof other === 'object' || other === 'starting') throw inUse(locked, path, other);
  }
}

/**
 * Takes the folder for this process, by a file `.lock` in it. The lock of a process that has died is taken over: at once,
 * or after ten minutes if it was on another host, and after two if it was in another container of this one, or before its last start. Released at the latest when the process exits.
 * @param purpose what others are told that the folder is used for
 * @param shard takes a lock that only keeps out the same shard, and those who want the whole folder
 * @throws UserError of kind `run` when a living process holds it
 */
export const acquireLock = (folder: string, purpose: string, shard?: Shard): Lock =>
  lockBy(join(folder, '.lock'), { kind: 'folder', where: folder }, purpose, shard);

/** Takes a file, which need not be there, in the same way, by a hidden file beside it. @throws UserError of kind `run` */
export const acquireFileLock = (file: string, purpose: string, shard?: Shard): Lock =>
  lockBy(join(dirname(file), `.${basename(file)}.lock`), { kind: 'file', where: file }, purpose, shard);

/** @param whole path of the lock file of who wants all that is locked, not only a shard */
function lockBy(whole: string, locked: Locked, purpose: string, shard: Shard | undefined): Lock {
  const path = shard ? `${whole}${shardEnding(shard)}` : whole;
  const holder: Holder = {
    pid: process.pid,
    host: hostname(),
    system: SYSTEM,
    processStart: processStart(process.pid),
    since: new Date().toISOString(),
    purpose,
  };
  try {
    take(locked, path, holder);
  } catch (error) {
    throw fromSystemError(error, dirname(path));
  }
  let held = true;
  const refreshing = setInterval(refresh, REFRESH_MS, path, holder).unref();
  const release = () => {
    if (!held) return;
    held = false;
    clearInterval(refreshing);
    process.off('exit', release);
    // Someone may have deleted the file by hand, and another process may hold the folder by now.
    const current = holderOf(path);
    if (typeof current === 'object' && current.pid === holder.pid && current.since === holder.since)
      rmSync(path, { force: true });
  };
  // Before all else that happens then: a rank that ends takes the others with it, and itself.
  process.prependListener('exit', release);
  try {
    // Both take their own lock first, and then look for the other's: so not both can go on.
    const shards = readdirSync(dirname(path)).filter((name) => isShardOf(basename(whole), name));
    refuseHeld(locked, shard ? [whole] : shards.map((name) => join(dirname(path), name)));
  } catch (error) {
    release();
    throw fromSystemError(error, dirname(path));
  }
  return { release };
}
