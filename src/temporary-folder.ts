import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromSystemError } from './errors.js';
import { exitUnheard } from './termination.js';

/** Those that are in use. */
const folders = new Set<string>();
/** How many have asked for one. */
let users = 0;

const remove = (folder: string) =>
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });

function removeAll(): void {
  for (const folder of folders) {
    try {
      remove(folder);
    } catch {} // The process ends: nobody could be told.
  }
}

function make(prefix: string): string {
  try {
    return mkdtempSync(join(tmpdir(), prefix));
  } catch (error) {
    throw fromSystemError(error, tmpdir());
  }
}

/**
 * Gives `work` a folder for temporary files, and removes it when that has ended, or the process exits or is interrupted meanwhile.
 * @throws UserError of kind `disk` when there is no place for it, and what `work` throws
 */
export async function withTemporaryFolder<T>(
  prefix: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  // Before there is a folder: from then on, an interruption must remove it.
  if (users++ === 0) process.on('exit', removeAll).on('SIGINT', exitUnheard);
  try {
    const folder = make(prefix);
    folders.add(folder);
    try {
      return await work(folder);
    } finally {
      folders.delete(folder);
      remove(folder);
    }
  } finally {
    if (--users === 0) process.off('exit', removeAll).off('SIGINT', exitUnheard);
  }
}
