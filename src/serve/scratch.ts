/** Where uploads lie while they are worked on: one folder for the service, and in it one for each request. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { mkdtemp, readdir, rm, rmdir, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromSystemError } from '../errors.js';
import { makeFolder } from '../files.js';
import { acquireLock } from '../lock.js';
import { Refusal } from './refusal.js';

/** The folder of one request. */
export interface RequestFolder {
  readonly path: string;
  /** Path of the uploaded file in it. */
  readonly upload: string;
  /** Counts bytes before they are written. @throws Refusal when the scratch folder would hold too many */
  take(bytes: number): void;
  /** Removes the upload, which counts no more: what has been made of it may be fetched slowly. */
  removeUpload(): Promise<void>;
  /** Removes it and all that is in it. */
  remove(): Promise<void>;
}

export interface Scratch {
  /** For copies of model files. */
  readonly models: string;
  /** Bytes of all uploads that are there. */
  readonly bytes: number;
  newRequest(): Promise<RequestFolder>;
  close(): void;
}

const PREFIX = 'p2w-serve-';

/** Removes what services left behind that were killed: uploads are of patients. */
function removeAbandoned(parent: string): void {
  for (const name of readdirSync(parent).filter((entry) => entry.startsWith(PREFIX))) {
    const folder = join(parent, name);
    try {
      acquireLock(folder, 'clean up').release();
      rmSync(folder, { recursive: true, force: true });
    } catch {
      // Of a service that is alive, or of another user.
    }
  }
}

/**
 * Makes a scratch folder, which only this user can read.
 * @param maxBytes of all uploads together
 * @param parent the system's folder for temporary files without it
 * @throws UserError of kind `disk`
 */
export function openScratch(maxBytes: number, parent = tmpdir()): Scratch {
  let folder: string;
  try {
    makeFolder(parent);
    removeAbandoned(parent);
    folder = mkdtempSync(join(parent, PREFIX));
  } catch (error) {
    throw fromSystemError(error, parent);
  }
  const lock = acquireLock(folder, 'serve');
  const models = join(folder, 'models');
  makeFolder(models);
  let total = 0;
  return {
    models,
    get bytes() {
      return total;
    },
    async newRequest() {
      const path = await mkdtemp(join(folder, 'request-'));
      const upload = join(path, 'upload');
      let own = 0;
      return {
        path,
        upload,
        take(bytes) {
          if (total + bytes > maxBytes)
            throw new Refusal(503, 'the service holds too many uploads', { retryAfterSeconds: 5 });
          own += bytes;
          total += bytes;
        },
        async removeUpload() {
          total -= own;
          own = 0;
          await rm(upload, { recursive: true, force: true });
        },
        async remove() {
          total -= own;
          own = 0;
          try {
            // For a few files a third of what `rm` does; an archive has left a folder.
            for (const name of await readdir(path)) await unlink(join(path, name));
            await rmdir(path);
          } catch {
            // What cannot be removed now goes with the folder of the service.
            await rm(path, { recursive: true, force: true }).catch(() => {});
          }
        },
      };
    },
    close() {
      lock.release();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
