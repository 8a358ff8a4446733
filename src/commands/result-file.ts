/** The one file that results of many scans are written to, at the end. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { scanExtension } from '../data/scan/extensions.js';
import { findScans } from '../data/scan/index.js';
import { UserError } from '../errors.js';
import { isFolder, isSame, makeFolder } from '../files.js';
import { acquireFileLock } from '../lock.js';
import type { Shard } from '../shard.js';

/** The journal of scans that are finished, until the file itself is written. */
export const unfinishedPath = (out: string): string => `${out}.unfinished`;

/**
 * Makes the file's folder, and writes what no other process may write meanwhile.
 * @param purpose what other processes are told
 * @param shard lets other shards work on it at the same time
 * @throws UserError when it is in use, and what `work` throws
 */
export async function withResultFile<T>(
  out: string,
  purpose: string,
  shard: Shard | undefined,
  work: () => Promise<T>,
): Promise<T> {
  makeFolder(dirname(out));
  const lock = acquireFileLock(out, purpose, shard);
  try {
    return await work();
  } finally {
    lock.release();
  }
}

/**
 * @param endings that the file may have, without a dot
 * @param inputs scans and folders
 * @throws UserError for a file of another kind, a folder, or a file that a scan is read from
 */
export async function checkResultFile(
  out: string,
  endings: readonly string[],
  inputs: readonly string[],
): Promise<void> {
  if (isFolder(out)) throw new UserError('usage', { what: 'this is a folder, not a file', where: out });
  if (!endings.some((ending) => out.endsWith(`.${ending}`)))
    throw new UserError('usage', {
      what: 'the file extension sets the format of the results',
      where: '--out',
      got: out,
      expected: endings.map((ending) => `.${ending}`).join(', '),
    });
  if (!existsSync(out) || !scanExtension(out)) return;
  const overwritten = (await findScans([...inputs])).find((path) => isSame(path, out));
  if (overwritten !== undefined)
    throw new UserError('usage', {
      what: 'the result would overwrite its own input',
      where: out,
      got: `input ${overwritten}`,
      fix: 'choose another file for --out',
    });
}
