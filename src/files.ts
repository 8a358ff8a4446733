import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fromSystemError } from './errors.js';

const TEMPORARY = /^\.(.+)\.[0-9a-f]{8}\.tmp$/;

/**
 * A file that appears under its name only when it is whole: bytes go to a hidden file beside it, which
 * `commit` flushes to disk and renames. After a kill at any moment the old file, or none, is there.
 */
export class AtomicFile {
  readonly #temporary: string;
  readonly #fd: number;
  #open = true;

  /** Creates the folder if needed. @throws UserError when the place cannot be written. */
  constructor(readonly path: string) {
    const folder = dirname(path);
    this.#temporary = join(folder, `.${basename(path)}.${randomUUID().slice(0, 8)}.tmp`);
    try {
      mkdirSync(folder, { recursive: true });
      this.#fd = openSync(this.#temporary, 'wx');
    } catch (error) {
      throw fromSystemError(error, path);
    }
  }

  /** Appends, or writes at byte `position` when it is given. */
  write(bytes: ArrayBufferView, position?: number): void {
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    try {
      for (let done = 0; done < view.byteLength; ) {
        const at = position === undefined ? null : position + done;
        done += writeSync(this.#fd, view, done, view.byteLength - done, at);
      }
    } catch (error) {
      this.discard();
      throw fromSystemError(error, this.path);
    }
  }

  /** Flushes and renames; the file now exists under its name. */
  commit(): void {
    try {
      fsyncSync(this.#fd);
      this.#close();
      renameSync(this.#temporary, this.path);
    } catch (error) {
      this.discard();
      throw fromSystemError(error, this.path);
    }
  }

  /** Removes what was written; safe to call at any time, also after `commit`. */
  discard(): void {
    this.#close();
    rmSync(this.#temporary, { force: true });
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#fd);
  }
}

/** Writes a whole file atomically. @throws UserError of kind `disk`; the old content then still stands. */
export function writeFileAtomic(path: string, data: string | ArrayBufferView): void {
  const file = new AtomicFile(path);
  file.write(typeof data === 'string' ? Buffer.from(data) : data);
  file.commit();
}

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
