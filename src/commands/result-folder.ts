/** The folder that results of whole scans are written to, file by file. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { abridged, fromSystemError, UserError } from '../errors.js';
import { makeFolder, removeTemporaries } from '../files.js';
import { acquireLock } from '../lock.js';
import { isShardOf, type Shard } from '../shard.js';
import { checkApart } from './store-folder.js';

/** The journal of finished scans: a folder that has it is ours. */
export const journalPath = (out: string): string => join(out, JOURNAL);
const JOURNAL = 'finished.jsonl';

/** @throws UserError for a folder that holds something else, which could be overwritten */
function checkContent(out: string): void {
  const names = existsSync(out) ? readdirSync(out).filter((name) => !name.startsWith('.')) : [];
  const isJournal = (name: string) => name === JOURNAL || isShardOf(JOURNAL, name);
  if (names.length === 0 || names.some(isJournal)) return;
  throw new UserError('usage', {
    what: 'this folder contains other files',
    where: out,
    got: abridged(names),
    expected: 'a new folder, an empty one, or results of this command to continue',
    fix: 'choose another folder for --out',
  });
}

/** What a killed writer left behind, in the folder and all below it. */
function removeLeftovers(out: string): void {
  removeTemporaries(out);
  for (const entry of readdirSync(out, { withFileTypes: true }))
    if (entry.isDirectory()) removeLeftovers(join(out, entry.name));
}

/**
 * Writes into a folder that no other process may use meanwhile.
 * @param inputs that must be apart from it
 * @param purpose what other processes are told
 * @param shard lets other shards write into it at the same time
 * @throws UserError for a folder among its inputs or around them, with other content, or in use, and what `work` throws
 */
export async function withResultFolder<T>(
  out: string,
  inputs: readonly string[],
  purpose: string,
  shard: Shard | undefined,
  work: () => Promise<T>,
): Promise<T> {
  checkApart('results', out, inputs);
  try {
    checkContent(out);
    makeFolder(out);
    const lock = acquireLock(out, purpose, shard);
    try {
      // What looks left over may be on its way in another shard.
      if (!shard) removeLeftovers(out);
      return await work();
    } finally {
      lock.release();
    }
  } catch (error) {
    throw fromSystemError(error, out);
  }
}
