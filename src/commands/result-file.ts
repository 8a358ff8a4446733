/** The one file that results of many scans are written to, at the end. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { scopeOf } from '../data/scan/dicom/scan-path.js';
import { scanExtension } from '../data/scan/extensions.js';
import { readBytes } from '../data/scan/file.js';
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
 * The first line of a text that says something, which may be that of a long vector.
 * @returns null for an empty file, in which nothing can be lost; an empty text where there are line ends only
 * @throws UserError when it cannot be read
 */
export async function firstLine(path: string): Promise<string | null> {
  const start = await readBytes(path, 0, LONGEST_LINE);
  return start.length === 0 ? null : start.toString('utf8').replace(/^\n+/, '').split('\n', 1)[0]!;
}
const LONGEST_LINE = 1 << 24;

/** What results are made of. */
interface Sources {
  readonly model?: string | undefined;
  /** Scans and folders. */
  readonly input: readonly string[];
}

/** Files that a command writes its results to. */
interface ResultFiles {
  /** That the file may have, without a dot. */
  readonly endings: readonly string[];
  /** Another file that is written beside it. */
  readonly beside?: string | undefined;
  /** Whether a file that is there is a result of this command, by how it begins. */
  readonly isResult: (path: string) => Promise<boolean>;
}

/**
 * @throws UserError for a file of another kind, a folder, the model, a file that a scan is read from, and any other that is no result of
 *   an earlier run: it would be lost
 */
export async function checkResultFile(
  out: string,
  { model, input }: Sources,
  { endings, beside, isResult }: ResultFiles,
): Promise<void> {
  if (isFolder(out)) throw new UserError('usage', { what: 'this is a folder, not a file', where: out });
  if (!endings.some((ending) => out.endsWith(`.${ending}`)))
    throw new UserError('usage', {
      what: 'the file extension sets the format of the results',
      where: '--out',
      got: out,
      expected: endings.map((ending) => `.${ending}`).join(', '),
    });
  const fix = 'choose another file for --out';
  for (const path of [out, ...(beside === undefined ? [] : [beside])].filter(existsSync)) {
    if (model !== undefined && isSame(model, path))
      throw new UserError('usage', { what: 'the result would overwrite the model', where: path, fix });
    const scans = scanExtension(path) ? await findScans([...input]) : [];
    const overwritten = [...input.map(scopeOf), ...scans].find((other) => isSame(other, path));
    if (overwritten !== undefined)
      throw new UserError('usage', {
        ...{ what: 'the result would overwrite its own input', where: path },
        ...{ got: `input ${overwritten}`, fix },
      });
    if (!(await isResult(path)))
      throw new UserError('usage', {
        ...{ what: 'this file is no result of this command: it would be overwritten', where: path },
        ...{ expected: 'a new file, or a result of an earlier run', fix },
      });
  }
}
