/** The folder that a store of tiles or samples is written to: what it may hold before, and what is tidied up in it. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isSampleStore } from '../data/samples/manifest.js';
import { scopeOf } from '../data/scan/dicom/scan-path.js';
import { removeLeftovers, removeOthers, type StoredArray } from '../data/store/arrays.js';
import { abridged, fromSystemError, UserError } from '../errors.js';
import { isInside, isPresentFolder, isSame, makeFolder, writeFileAtomic } from '../files.js';
import { acquireLock } from '../lock.js';
import type { Shard } from '../shard.js';

type StoreKind = 'tiles' | 'samples';

/** What a store consists of, whatever its state. */
const ARRAYS: readonly string[] = ['shards', 'records'];

/** What a folder holds, in words; null for nothing, or a store of the wanted kind, begun or finished. */
function otherContent(folder: string, wanted: StoreKind): string | null {
  // Locks and half-written files begin with a dot.
  const names = readdirSync(folder).filter((name) => !name.startsWith('.'));
  const has = (name: string) => names.includes(name);
  if (names.length === 0) return null;
  if (
    has('options.json') &&
    names.every((name) => [...ARRAYS, 'options.json', 'manifest.json'].includes(name))
  )
    return wanted === 'tiles' ? null : 'a tile store';
  if (isSampleStore(folder) || names.every((name) => ARRAYS.includes(name)))
    return wanted === 'samples' ? null : 'a sample store';
  if (has('config.json') && (has('metrics.jsonl') || has('checkpoints'))) return 'a training run';
  if (names.some((name) => /^trial-\d+$/.test(name))) return 'fine-tuning trials';
  return `other files: ${abridged(names)}`;
}

/**
 * @param what is to be written to `out`
 * @param inputs files, folders and DICOM series, which exist
 * @throws UserError of kind `usage` for a folder among the inputs or around them
 */
export function checkApart(what: string, out: string, inputs: readonly string[]): void {
  for (const input of inputs) {
    const relation = relationOf(out, scopeOf(input));
    if (relation)
      throw new UserError('usage', {
        what: `the ${what} would be ${relation}`,
        where: out,
        got: `input ${input}`,
        expected: 'a separate folder',
        fix: `choose another folder for the ${what}`,
      });
  }
}

/**
 * Looks at what a store would be made of and in, before anything is written.
 * @param inputs files, folders and DICOM series that it is made from, which exist
 * @throws UserError of kind `usage` for a place among the inputs or around them, and for a folder that holds something else
 */
export function checkStoreFolder(out: string, inputs: readonly string[], wanted: StoreKind): void {
  checkApart('store', out, inputs);
  let content: string | null;
  try {
    content = existsSync(out) ? otherContent(out, wanted) : null;
  } catch (error) {
    throw fromSystemError(error, out);
  }
  if (content === null) return;
  throw new UserError('usage', {
    what: `this folder contains ${content}`,
    where: out,
    expected: `a new folder, an empty one, or a store of ${wanted} to continue`,
    fix: 'choose another folder for the store',
  });
}

function relationOf(out: string, input: string): string | null {
  if (isInside(input, out)) return 'a folder that contains its own input';
  if (!isPresentFolder(input)) return null;
  if (isSame(input, out)) return 'the same folder as its input';
  return isInside(out, input) ? 'inside its own input folder' : null;
}

/** What a store consists of. */
interface StoreContent {
  /** The text of its manifest. */
  readonly manifest: string;
  /** Scans that are finished, those without a tile or sample included. */
  readonly scans: readonly string[];
  /** All that the manifest names. */
  readonly arrays: readonly StoredArray[];
}

/**
 * Does one shard's part of a store, while other shards may do theirs: arrays and records, which {@link writeStore} finds.
 * @throws UserError for a folder in use, and when the disk is full
 */
export async function writeShard<T>(folder: string, shard: Shard, write: () => Promise<T>): Promise<T> {
  try {
    makeFolder(folder);
    const lock = acquireLock(folder, 'prepare', shard);
    try {
      return await write();
    } finally {
      lock.release();
    }
  } catch (error) {
    throw fromSystemError(error, folder);
  }
}

/**
 * Writes a store, which no other process may use meanwhile. Where that fails, nothing half written is left, and what was
 * finished is found again. In the end there is no other array or record in it.
 * @param write writes arrays and records; ends no earlier than its last thread
 * @throws UserError for a folder in use, and when the disk is full
 */
export async function writeStore(folder: string, write: () => Promise<StoreContent>): Promise<void> {
  try {
    makeFolder(folder);
    const lock = acquireLock(folder, 'prepare');
    try {
      removeLeftovers(folder);
      const { manifest, scans, arrays } = await write();
      writeFileAtomic(join(folder, 'manifest.json'), manifest);
      removeOthers(folder, scans, arrays);
    } catch (error) {
      try {
        removeLeftovers(folder);
      } catch {} // the folder is gone or read-only: the first error says more
      throw error;
    } finally {
      lock.release();
    }
  } catch (error) {
    throw fromSystemError(error, folder);
  }
}
