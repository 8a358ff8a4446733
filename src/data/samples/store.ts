/**
 * A sample store: a folder with `manifest.json` and arrays in `shards/`, which NumPy reads: `<shard>.image.npy`
 * [n, C, D, H, W] and, for segmentation, `<shard>.mask.npy`, uint8 [n, D, H, W].
 */
import { join } from 'node:path';
import { UserError } from '../../errors.js';
import type { XYZ } from '../scan/volume.js';
import { checkArray, readItem, type StoredArray, sha256 } from '../store/arrays.js';
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

/** The arrays of a shard of `count` samples: images, and in segmentation masks. */
export function arraysOf(
  folder: string,
  { kind, type, channels, size: [x, y, z] }: SampleFormat,
  shard: string,
  count: number,
): readonly StoredArray[] {
  const images: StoredArray = { path: imagePath(folder, shard), type, shape: [count, channels, z, y, x] };
  if (kind === 'classification') return [images];
  return [images, { path: maskPath(folder, shard), type: 'uint8', shape: [count, z, y, x] }];
}

export const sampleHash = ({ image, mask }: SampleContent): string =>
  mask ? sha256(image, mask) : sha256(image);

/** Voxels of an image, of all channels together. */
export const voxelsOf = ({ channels, size: [x, y, z] }: SampleFormat): number => channels * x * y * z;

/** How many samples each shard holds. */
export function shardCounts(samples: readonly Pick<SampleEntry, 'shard'>[]): Map<string, number> {
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
    for (const array of arraysOf(folder, manifest, shard, count)) checkArray(array, damagedSamples);
  }
  checkPatients(manifest.samples, folder);
  return { folder, manifest, counts, hash: sha256(JSON.stringify(content)) };
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

/**
 * Reads one sample.
 * @throws UserError of kind `data` when its bytes are not those that `prepare` wrote
 * @example
 * const store = openSampleStore('candidates');
 * const { image } = readSample(store, store.manifest.samples[0]!);
 */
export function readSample({ folder, manifest, counts }: SampleStore, sample: SampleEntry): SampleContent {
  const { shard, index, id } = sample;
  const [images, masks] = arraysOf(folder, manifest, shard, counts.get(shard)!);
  const voxels = voxelsOf(manifest);
  const image = manifest.type === 'int16' ? new Int16Array(voxels) : new Float32Array(voxels);
  const mask = masks ? new Uint8Array(voxels / manifest.channels) : null;
  readItem(images!, index, image);
  if (masks) readItem(masks, index, mask!);
  const content = { image, mask };
  if (sampleHash(content) === sample.sha256) return content;
  throw new UserError('data', {
    what: `sample ${id} has changed since it was prepared`,
    where: images!.path,
    fix: PREPARE_SAMPLES_AGAIN,
  });
}

/** Share by which spacings that count as the same may differ. */
const SPACING_TOLERANCE = 0.01;

/** The spacing of all samples in mm; null where they differ. */
export function commonSpacing(samples: readonly Pick<SampleEntry, 'spacing'>[]): XYZ | null {
  const [first] = samples;
  const isCommon = samples.every(({ spacing }) =>
    spacing.every((mm, i) => Math.abs(mm / first!.spacing[i]! - 1) <= SPACING_TOLERANCE),
  );
  return first && isCommon ? first.spacing : null;
}
