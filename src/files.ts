import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { Writable } from 'node:stream';
import { fromSystemError, UserError } from './errors.js';

/** Node.js writes less than 2 GiB at a time. */
const MOST_AT_ONCE = 2 ** 30;

const TEMPORARY = /^\.(.+)\.[0-9a-f]{8}\.tmp$/;

/** A new hidden name beside a file, for what is not whole yet. */
export const temporaryBeside = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${randomUUID().slice(0, 8)}.tmp`);

/** Whether there is a folder at a path. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Whether what is at a path is a folder. @throws UserError of kind `disk` when there is nothing, or it cannot be looked at */
export function isPresentFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw fromSystemError(error, path);
  }
}

/**
 * Makes a folder, and those that it lies in. Not by `mkdir` with `recursive`, for which a read-only file system is a
 * folder that does not exist.
 * @param below this one must be there already: a store or run that was deleted meanwhile does not come back half
 * @throws UserError of kind `disk`
 */
export function makeFolder(path: string, below?: string): void {
  const folder = resolve(path);
  try {
    mkdirSync(folder);
  } catch (error) {
    if (isFolder(folder)) return;
    const parent = dirname(folder);
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT' && parent !== folder;
    if (!isMissing) throw fromSystemError(error, path);
    if (below !== undefined && parent === resolve(below)) throw vanished(below);
    makeFolder(parent, below);
    makeFolder(folder, parent);
  }
}

const vanished = (path: string, cause?: unknown) =>
  new UserError('disk', {
    what: 'this does not exist: it never did, or it was deleted or moved while being written to',
    where: path,
    fix: 'leave it in place and run the command again',
    cause,
  });

/** @throws UserError of kind `disk` when an open file has been deleted meanwhile: what is written to it is lost */
export function checkLinked(fd: number, path: string): void {
  if (fstatSync(fd).nlink === 0) throw vanished(path);
}

/** What went wrong with a file whose folder was there when it was begun. */
const writeError = (error: unknown, path: string): Error =>
  (error as NodeJS.ErrnoException).code === 'ENOENT'
    ? vanished(dirname(path), error)
    : fromSystemError(error, path);

/**
 * Writes all bytes to an open file: at the edge of a full disk, the system writes a part of them at first, and only the next call fails.
 * @param position of the first byte; at the file's own position without it
 */
export function writeAll(fd: number, bytes: ArrayBufferView, position?: number): void {
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let done = 0; done < view.byteLength; ) {
    const at = position === undefined ? null : position + done;
    done += writeSync(fd, view, done, Math.min(view.byteLength - done, MOST_AT_ONCE), at);
  }
}

/** Files that are being written. What ends this process without killing it takes them away. */
const unfinished = new Set<AtomicFile>();

function discardUnfinished(): void {
  for (const file of unfinished)
    try {
      file.discard();
    } catch {
      // It stays, as after a kill.
    }
}

function begin(file: AtomicFile): void {
  if (unfinished.size === 0) process.on('exit', discardUnfinished);
  unfinished.add(file);
}

function end(file: AtomicFile): void {
  if (unfinished.delete(file) && unfinished.size === 0) process.off('exit', discardUnfinished);
}

/**
 * A file that appears under its name only when it is whole: bytes go to a hidden file beside it, which
 * `commit` flushes to disk and renames. After a kill at any moment the old file, or none, is there.
 */
export class AtomicFile {
  readonly #temporary: string;
  readonly #fd: number;
  #open = true;

  /** @throws UserError when the folder does not exist (see {@link makeFolder}), or cannot be written to */
  constructor(readonly path: string) {
    this.#temporary = temporaryBeside(path);
    try {
      this.#fd = openSync(this.#temporary, 'wx');
    } catch (error) {
      throw writeError(error, path);
    }
    begin(this);
  }

  /** Appends, or writes at byte `position` when it is given. */
  write(bytes: ArrayBufferView, position?: number): void {
    try {
      writeAll(this.#fd, bytes, position);
    } catch (error) {
      this.discard();
      throw fromSystemError(error, this.path);
    }
  }

  /** Flushes all bytes to disk. Nothing can be written any more. */
  finish(): void {
    if (!this.#open) return;
    try {
      fsyncSync(this.#fd);
      this.#close();
    } catch (error) {
      this.discard();
      throw writeError(error, this.path);
    }
  }

  /** Flushes and renames; the file now exists under its name. */
  commit(): void {
    this.finish();
    try {
      renameSync(this.#temporary, this.path);
      end(this);
    } catch (error) {
      this.discard();
      throw writeError(error, this.path);
    }
  }

  /** The end of a pipeline, which appends. A function there would hide its own error behind an aborted stream. */
  stream(): Writable {
    return new Writable({
      write: (chunk: Buffer, _, done) => {
        try {
          this.write(chunk);
          done();
        } catch (error) {
          done(error as Error);
        }
      },
    });
  }

  /** Removes what was written; safe to call at any time, also after `commit`. */
  discard(): void {
    this.#close();
    rmSync(this.#temporary, { force: true });
    end(this);
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#fd);
  }
}

/** A file and all that is in it. */
type Content = readonly [path: string, data: string | ArrayBufferView];

/** A file of pieces, one after the other, whole but for its name. @throws UserError of kind `disk`, and what the pieces throw */
export function filledFile(path: string, pieces: Iterable<ArrayBufferView>): AtomicFile {
  const file = new AtomicFile(path);
  try {
    for (const piece of pieces) file.write(piece);
    return file;
  } catch (error) {
    file.discard();
    throw error;
  }
}

/** A file with its content, whole but for its name. @throws UserError of kind `disk` */
export const contentFile = ([path, data]: Content): AtomicFile =>
  filledFile(path, [typeof data === 'string' ? Buffer.from(data) : data]);

/** Writes a whole file atomically. @throws UserError of kind `disk`; the old content then still stands. */
export const writeFileAtomic = (path: string, data: string | ArrayBufferView): void =>
  contentFile([path, data]).commit();

/** Lines, each ended by a line feed, whole but for their name; together they may be longer than a string can be. @throws UserError of kind `disk` */
export const linesFile = (path: string, lines: Iterable<string>): AtomicFile =>
  filledFile(path, bytesOf(lines));

function* bytesOf(lines: Iterable<string>): Generator<Buffer> {
  for (const line of lines) yield Buffer.from(`${line}\n`);
}

/** Writes lines atomically. @throws as {@link linesFile} */
export const writeLinesAtomic = (path: string, lines: Iterable<string>): void =>
  linesFile(path, lines).commit();

/**
 * Writes files that belong together. They get their names once all of them are whole: a disk that is full before then changes none. The last one, without
 * which readers take the others for nothing, goes first and comes back last, so that a kill in between leaves no new file beside an old one.
 * @param makers of the files, whole but for their names, in their order
 * @throws UserError of kind `disk`
 */
export function commitTogether(makers: readonly (() => AtomicFile)[]): void {
  const files: AtomicFile[] = [];
  try {
    for (const make of makers) {
      const file = make();
      files.push(file);
      file.finish();
    }
    if (files.length > 1) rmSync(files.at(-1)!.path, { force: true });
    for (const file of files) file.commit();
  } finally {
    for (const file of files) file.discard();
  }
}

/** Writes whole files as {@link commitTogether} does. @throws UserError of kind `disk` */
export const writeTogether = (contents: readonly Content[]): void =>
  commitTogether(contents.map((content) => () => contentFile(content)));

/** Removes what killed writers left behind in a folder. Call it only while holding the folder's lock. */
export function removeTemporaries(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (TEMPORARY.test(name)) rmSync(join(folder, name), { force: true });
  }
}

/** Cuts a file to `bytes`, and flushes. */
export function truncateFile(path: string, bytes: number): void {
  const fd = openSync(path, 'r+');
  try {
    ftruncateSync(fd, bytes);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Where a path leads to, links followed as far as it exists. */
function realPath(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    const parent = dirname(absolute);
    return parent === absolute ? absolute : join(realPath(parent), basename(absolute));
  }
}

/** Whether a path is below a folder; neither need exist. */
export const isInside = (path: string, folder: string): boolean =>
  realPath(path).startsWith(realPath(folder).replace(/[/\\]*$/, sep));

/** Whether two paths lead to the same place; neither need exist. */
export const isSame = (one: string, other: string): boolean => realPath(one) === realPath(other);
