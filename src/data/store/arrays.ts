/**
 * What stores of tiles and of samples have in common: arrays of equal items in `shards/`, which NumPy reads, and for each
 * scan a record in `records/`. A scan is finished when its record is there, which is written after its arrays; so a run
 * that was killed goes on with the first scan that has none.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type * as z from 'zod';
import { fromSystemError } from '../../errors.js';
import { type AtomicFile, filledFile, makeFolder, removeTemporaries, writeFileAtomic } from '../../files.js';
import { elementBytes } from '../scan/elements.js';
import { npyHeader } from '../scan/npy.js';

/** A scan that could not be used, and why. */
export interface Failure {
  readonly source: string;
  readonly message: string;
}

/** One that the user is told of, path and all. */
export interface StoreFailure extends Failure {
  /** What the store's manifest says of it: nothing of paths, which may name the patient. */
  readonly kept: Failure;
}

/** What the user is told. */
export const toldFailures = (failures: readonly StoreFailure[]): Failure[] =>
  failures.map(({ source, message }) => ({ source, message }));

/** What the manifest says. */
export const keptFailures = (failures: readonly StoreFailure[]): Failure[] =>
  failures.map(({ kept }) => kept);

/** One `.npy` file of a store. */
export interface StoredArray {
  readonly path: string;
  readonly type: 'int16' | 'float32' | 'uint8';
  /** How many items, then the lengths of one of them, slowest first. */
  readonly shape: readonly number[];
}

/** What precedes the items. */
const headerOf = ({ type, shape }: StoredArray): Uint8Array => npyHeader(type, shape);

const bytesOf = ({ type, shape }: StoredArray): number =>
  shape.reduce((product, length) => product * length, elementBytes(type));

/** SHA-256 of all parts, one behind the other, in hexadecimal. */
export function sha256(...parts: readonly (string | NodeJS.ArrayBufferView)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/**
 * Checks that an array is there, with the header and length that it should have; its items are checked when they are read.
 * @param damaged makes an error of the path and what was found there
 */
export function checkArray(array: StoredArray, damaged: (path: string, got: string) => Error): void {
  const header = headerOf(array);
  const expected = header.length + bytesOf(array);
  try {
    const bytes = statSync(array.path).size;
    if (bytes !== expected) throw damaged(array.path, `${bytes} bytes instead of ${expected}`);
    const found = Buffer.alloc(header.length);
    readAt(array.path, found, 0);
    if (!found.equals(header)) throw damaged(array.path, 'the header of a different array');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw damaged(array.path, 'no such file');
    throw fromSystemError(error, array.path);
  }
}

/**
 * Reads an item, or several that follow each other, into `target`, which has their length; where the file ends too soon, the
 * rest of it is left as it was.
 * @param index of the first
 */
export function readItem(array: StoredArray, index: number, target: NodeJS.ArrayBufferView): void {
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  const [items] = array.shape;
  try {
    readAt(array.path, bytes, headerOf(array).length + index * (bytesOf(array) / items!));
  } catch (error) {
    throw fromSystemError(error, array.path);
  }
}

/** Fills `target` from byte `position` on, or up to the file's end. */
function readAt(path: string, target: Uint8Array, position: number): void {
  const fd = openSync(path, 'r');
  try {
    let done = 0;
    for (let read = -1; read !== 0 && done < target.length; done += read)
      read = readSync(fd, target, done, target.length - done, position + done);
  } finally {
    closeSync(fd);
  }
}

/** An array of a store, whole but for its name. @param items may share their memory @throws UserError of kind `disk` */
export function arrayFile(folder: string, array: StoredArray, items: Iterable<ArrayBufferView>): AtomicFile {
  makeFolder(dirname(array.path), folder);
  return filledFile(array.path, headed(headerOf(array), items));
}

function* headed(header: Uint8Array, items: Iterable<ArrayBufferView>): Generator<ArrayBufferView> {
  yield header;
  yield* items;
}

/** Writes an array of a store. @throws as {@link arrayFile} */
export const writeArray = (folder: string, array: StoredArray, items: Iterable<ArrayBufferView>): void =>
  arrayFile(folder, array, items).commit();

const recordPath = (folder: string, id: string) => join(folder, 'records', `${id}.json`);

/** Says that a scan is finished: its arrays are there. @throws UserError of kind `disk` */
export function writeRecord(folder: string, id: string, record: object): void {
  const path = recordPath(folder, id);
  makeFolder(dirname(path), folder);
  writeFileAtomic(path, `${JSON.stringify(record)}\n`);
}

/**
 * What an earlier run recorded of a scan that it finished.
 * @param arraysOf the arrays that a record speaks of; null for a record of another input
 * @returns undefined where the scan is to be read again: there is no such record, or it or an array is damaged
 */
export function finishedRecord<R>(
  folder: string,
  id: string,
  schema: z.ZodType<R>,
  arraysOf: (record: R) => readonly StoredArray[] | null,
): R | undefined {
  try {
    const record = schema.parse(JSON.parse(readFileSync(recordPath(folder, id), 'utf8')));
    const arrays = arraysOf(record);
    for (const array of arrays ?? []) checkArray(array, (_, got) => new Error(got));
    return arrays ? record : undefined;
  } catch {
    return undefined;
  }
}

/** The folders of arrays and of records. */
const partsOf = (folder: string) =>
  ['shards', 'records'].map((name) => join(folder, name)).filter(existsSync);
const entriesBelow = (part: string) => readdirSync(part, { withFileTypes: true, recursive: true });

/** Removes the half-written files of runs that were killed. Call it only while holding the folder's lock. */
export function removeLeftovers(folder: string): void {
  const folders = partsOf(folder)
    .flatMap(entriesBelow)
    .filter((entry) => entry.isDirectory());
  const deep = folders.map(({ parentPath, name }) => join(parentPath, name));
  for (const part of [folder, ...partsOf(folder), ...deep]) removeTemporaries(part);
}

/** Which file a path leads to: names alone may differ in case or composition from what the file system says. */
function fileOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.dev} ${found.ino}`;
}

/**
 * Removes the arrays and records of scans that have left a store, once its manifest no longer names them. Call it only
 * while holding the folder's lock.
 * @param ids the scans whose records stay
 * @param arrays those that stay
 * @throws UserError of kind `disk`
 */
export function removeOthers(folder: string, ids: readonly string[], arrays: readonly StoredArray[]): void {
  const paths = [...ids.map((id) => recordPath(folder, id)), ...arrays.map(({ path }) => path)];
  const kept = new Set(paths.map(fileOf));
  // From the inside out, so that folders are empty when it is their turn.
  for (const entry of partsOf(folder).flatMap(entriesBelow).reverse()) {
    const path = join(entry.parentPath, entry.name);
    try {
      if (entry.isDirectory()) {
        if (readdirSync(path).length === 0) rmdirSync(path);
      } else if (/\.(npy|json)$/.test(path) && !kept.has(fileOf(path))) rmSync(path);
    } catch (error) {
      throw fromSystemError(error, path);
    }
  }
}
