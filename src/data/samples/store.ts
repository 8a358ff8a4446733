/**
 * A sample store: a folder with `manifest.json` and arrays in `shards/`, which NumPy reads: `<shard>.image.npy`
 * [n, C, D, H, W] and, for segmentation, `<shard>.mask.npy`, uint8 [n, D, H, W].
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fromSystemError, UserError } from '../../errors.js';
import { npyHeader } from '../scan/npy.js';
import {
  damagedSamples,
  PREPARE_SAMPLES_AGAIN,
  readSampleManifest,
  type SampleEntry,
  type SampleFormat,
  type SampleManifest,
  type SampleSplit,
} from './manifest.js';

export type SampleVoxels = Int16Array | Float32Array;

/** An image [C, D, H, W] and what it is marked with. */
export interface SampleContent {
  readonly image: SampleVoxels;
  /** [D, H, W], the number of a class or 0; null in classification. */
  readonly mask: Uint8Array | null;
}

/** An open sample store: plain data, which may be sent to threads. */
export interface SampleStore {
  readonly folder: string;
  readonly manifest: SampleManifest;
  /** Samples of each shard. */
  readonly counts: ReadonlyMap<string, number>;
  /** SHA-256 of all that decides what is trained on. */
  readonly hash: string;
}

export const imagePath = (folder: string, shard: string) => join(folder, `${shard}.image.npy`);
export const maskPath = (folder: string, shard: string) => join(folder, `${shard}.mask.npy`);

/** What precedes `count` images in a shard. */
export const imageHeader = ({ type, channels, size: [x, y, z] }: SampleFormat, count: number): Uint8Array =>
  npyHeader(type, [count, channels, z, y, x]);
/** What precedes `count` masks in a shard. */
export const maskHeader = ({ size: [x, y, z] }: SampleFormat, count: number): Uint8Array =>
  npyHeader('uint8', [count, z, y, x]);

export const sampleHash = ({ image, mask }: SampleContent): string => {
  const hash = createHash('sha256').update(image);
  return (mask ? hash.update(mask) : hash).digest('hex');
};

/** Voxels of an image, of all channels together. */
export const voxelsOf = ({ channels, size: [x, y, z] }: SampleFormat): number => channels * x * y * z;

/** How many samples each shard holds. */
function shardCounts(samples: readonly SampleEntry[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { shard } of samples) counts.set(shard, (counts.get(shard) ?? 0) + 1);
  return counts;
}

/**
 * Opens a store that `prepare --task` made. Every array is there, with the right shape and length; bytes are checked
 * when they are read.
 * @throws UserError of kind `data`, also when a patient is in two splits
 * @example
 * const store = openSampleStore('candidates');
 * console.log(store.manifest.samples.length);
 */
export function openSampleStore(folder: string): SampleStore {
  const manifest = readSampleManifest(folder);
  const { format: _, version: __, createdBy: ___, failures: ____, ...content } = manifest;
  const counts = shardCounts(manifest.samples);
  for (const [shard, count] of counts) {
    checkArray(imagePath(folder, shard), imageHeader(manifest, count), imageBytes(manifest) * count);
    if (manifest.kind === 'segmentation')
      checkArray(maskPath(folder, shard), maskHeader(manifest, count), maskBytes(manifest) * count);
  }
  checkPatients(manifest.samples, folder);
  return {
    folder,
    manifest,
    counts,
    hash: createHash('sha256').update(JSON.stringify(content)).digest('hex'),
  };
}

/** @throws UserError naming the patients that are in two splits */
export function checkPatients(
  samples: readonly Pick<SampleEntry, 'patient' | 'split'>[],
  where: string,
): void {
  const splits = new Map<string, Set<SampleSplit>>();
  for (const { patient, split } of samples)
    splits.set(patient, (splits.get(patient) ?? new Set<SampleSplit>()).add(split));
  const torn = [...splits]
    .filter(([, of]) => of.size > 1)
    .map(([patient, of]) => `${patient} (${[...of].join(', ')})`);
  if (torn.length === 0) return;
  throw new UserError('data', {
    what: `${torn.length === 1 ? 'a patient is' : `${torn.length} patients are`} in two splits, which would inflate the scores`,
    where,
    got: torn.slice(0, 5).join('; ') + (torn.length > 5 ? '; …' : ''),
    expected: 'all samples of a patient in one split',
    fix: 'fix the split, or remove it to have patients split at random',
  });
}

const imageBytes = (format: SampleFormat) => voxelsOf(format) * (format.type === 'int16' ? 2 : 4);
const maskBytes = ({ size: [x, y, z] }: SampleFormat) => x * y * z;

function checkArray(path: string, header: Uint8Array, bytes: number): void {
  try {
    const found = statSync(path).size;
    if (found !== header.length + bytes)
      throw damagedSamples(path, `${found} bytes instead of ${header.length + bytes}`);
    const start = Buffer.alloc(header.length);
    readAt(path, start, 0);
    if (!start.equals(header)) throw damagedSamples(path, 'the header of a different array');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw damagedSamples(path, 'no such file');
    throw fromSystemError(error, path);
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

/**
 * Reads one sample.
 * @throws UserError of kind `data` when its bytes are not those that `prepare` wrote
 * @example
 * const store = openSampleStore('candidates');
 * const { image } = readSample(store, store.manifest.samples[0]!);
 */
export function readSample({ folder, manifest, counts }: SampleStore, sample: SampleEntry): SampleContent {
  const { shard, index, id } = sample;
  const count = counts.get(shard)!;
  const image =
    manifest.type === 'int16' ? new Int16Array(voxelsOf(manifest)) : new Float32Array(voxelsOf(manifest));
  const mask = manifest.kind === 'segmentation' ? new Uint8Array(maskBytes(manifest)) : null;
  const read = (path: string, header: Uint8Array, target: SampleVoxels | Uint8Array) => {
    try {
      const bytes = new Uint8Array(target.buffer);
      readAt(path, bytes, header.length + index * bytes.length);
    } catch (error) {
      throw fromSystemError(error, path);
    }
  };
  read(imagePath(folder, shard), imageHeader(manifest, count), image);
  if (mask) read(maskPath(folder, shard), maskHeader(manifest, count), mask);
  const content = { image, mask };
  if (sampleHash(content) === sample.sha256) return content;
  throw new UserError('data', {
    what: `sample ${id} has changed since it was prepared`,
    where: imagePath(folder, shard),
    fix: PREPARE_SAMPLES_AGAIN,
  });
}
