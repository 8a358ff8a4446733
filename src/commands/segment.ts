import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { keepComponents } from '../analysis/components.js';
import type { Grid, LabelMap } from '../data/scan/volume.js';
import { VOLUME_FORMATS, type VolumeFormat, writeVolume } from '../data/scan/write-volume.js';
import type { Failure } from '../data/store/arrays.js';
import { UserError } from '../errors.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import type { ModelScan } from '../inference/model-scan.js';
import { checkedWindows } from '../inference/predict-scan.js';
import { classesOf, type Segmentation, segmentScan } from '../inference/segmentation.js';
import { storedOrder } from '../inference/stored-order.js';
import { greyOf, mostMarked, overlaid, scanPicture } from '../report/scan-picture.js';
import { toCsv } from '../tables/csv.js';
import { journalPath, withResultFolder } from './result-folder.js';
import { forEachScan, type KnownScan, openScanModel, type WholeScanOptions } from './whole-scans.js';

export interface SegmentOptions extends WholeScanOptions {
  /** Folder of the results: `masks/`, `pictures/`, `volumes.csv`; with `probabilities`, `probabilities/CLASS/`. One that was begun goes on. */
  readonly out: string;
  /** Of masks and maps; `nii.gz` without it. */
  readonly format?: VolumeFormat;
  /** Write a map of each class's probability too. */
  readonly probabilities?: boolean;
  /** Keep only the largest component of each class. */
  readonly largestComponent?: boolean;
  /** Remove components that are smaller, ml. */
  readonly minimumVolume?: number;
}

/** How much of a scan is of one class. */
export interface ClassVolume {
  readonly scan: string;
  /** In the mask. */
  readonly label: number;
  readonly class: string;
  readonly voxels: number;
  readonly ml: number;
}

export interface SegmentSummary {
  readonly out: string;
  /** Scans that have masks now. */
  readonly scans: number;
  /** How many of them had been finished before. */
  readonly kept: number;
  /** Of these scans; `volumes.csv` has those of all scans that have masks in the folder. */
  readonly volumes: readonly ClassVolume[];
  readonly failures: readonly Failure[];
}

/** What is known of a finished scan. */
interface Entry {
  /** Files, relative to the output folder. */
  readonly files: readonly string[];
  /** Voxels of each class. */
  readonly voxels: readonly number[];
  readonly voxelMl: number;
}

const OVERLAP = 0.5;

/** @throws UserError for options that are none */
function checkOptions({ format = 'nii.gz', minimumVolume = 0 }: SegmentOptions): void {
  if (!VOLUME_FORMATS.includes(format))
    throw new UserError('usage', {
      what: 'masks are not written in this format',
      where: '--format',
      got: String(format),
      expected: VOLUME_FORMATS.join(', '),
    });
  if (!(minimumVolume >= 0 && Number.isFinite(minimumVolume)))
    throw new UserError('usage', {
      what: 'this is not a volume in ml',
      where: '--minimum-volume',
      got: String(minimumVolume),
      expected: 'at least 0',
    });
}

/** Volume of a voxel in ml, which is 1000 mm³. */
export const voxelMl = ({ spacing: [x, y, z] }: Grid): number => (x * y * z) / 1000;

/** Voxels of each class. */
export function countLabels({ voxels }: LabelMap, classes: number): number[] {
  const counts = new Float64Array(256);
  for (const label of voxels) counts[label]!++;
  return [...counts.subarray(1, classes + 1)];
}

/** Names of classes as parts of paths, each of its own. */
const folderNames = (classes: readonly string[]): string[] =>
  classes
    .map((name) => name.replaceAll(/[^\p{L}\p{N}._-]+/gu, '_').replace(/^\.+/, ''))
    .map((plain, i, all) => {
      const isUnique =
        plain !== '' && all.every((other, k) => k === i || other.toLowerCase() !== plain.toLowerCase());
      return isUnique ? plain : `${i + 1}_${plain}`;
    });

interface Pictured extends Segmentation {
  /** PNG. */
  readonly picture: Uint8Array;
}

/** What is removed from masks. */
export type MaskCleaning = Pick<SegmentOptions, 'largestComponent' | 'minimumVolume'>;

/** Removes components from a mask. */
export function cleanMask(
  mask: LabelMap,
  { largestComponent = false, minimumVolume = 0 }: MaskCleaning,
): void {
  const leastVoxels = minimumVolume / voxelMl(mask);
  if (largestComponent || leastVoxels > 1) keepComponents(mask, { largest: largestComponent, leastVoxels });
}

/** The mask over the scan, where most of it is. */
export function maskPicture({ volume, stored }: ModelScan, { voxels }: LabelMap): Uint8Array {
  const { first, step } = storedOrder(volume, stored);
  const [width, height] = volume.size;
  const labelAt = (x: number, y: number, z: number) =>
    voxels[first + x * step[0] + y * step[1] + z * step[2]]!;
  const grey = greyOf(volume.voxels);
  const centre = mostMarked(volume.size, (x, y, z) => labelAt(x, y, z) > 0);
  return scanPicture(volume, centre, [
    (x, y, z) => overlaid(grey(volume.voxels[x + width * (y + height * z)]!), labelAt(x, y, z)),
  ]);
}

async function writeResults(
  { out, format = 'nii.gz' }: SegmentOptions,
  folders: readonly string[],
  name: string,
  { mask, probabilities, picture }: Pictured,
): Promise<Entry> {
  const volumes = [
    { file: `masks/${name}.${format}`, image: mask },
    ...probabilities.map((image, c) => ({ file: `probabilities/${folders[c]}/${name}.${format}`, image })),
  ];
  const drawn = `pictures/${name}.png`;
  makeFolder(dirname(join(out, drawn)), out);
  writeFileAtomic(join(out, drawn), picture);
  // The mask comes last: what has it is complete.
  for (const { file, image } of volumes.toReversed()) {
    const path = join(out, file);
    makeFolder(dirname(path), out);
    await writeVolume(path, image, format);
  }
  return {
    files: [drawn, ...volumes.map(({ file }) => file)],
    voxels: countLabels(mask, folders.length),
    voxelMl: voxelMl(mask),
  };
}

const volumesOf = (scans: readonly KnownScan<Entry>[], classes: readonly string[]): ClassVolume[] =>
  scans.flatMap(({ name, entry }) =>
    entry.voxels.map((voxels, c) => ({
      ...{ scan: name, label: c + 1, class: classes[c]!, voxels },
      ml: voxels * entry.voxelMl,
    })),
  );

const volumesToCsv = (volumes: readonly ClassVolume[]): string =>
  toCsv(
    ['scan', 'label', 'class', 'voxels', 'ml'],
    volumes.map(({ scan, label, class: name, voxels, ml }) => [
      scan,
      label,
      name,
      voxels,
      Number(ml.toFixed(4)),
    ]),
  );

/**
 * Segments whole scans: a mask of each on its own grid, and the volume of each class. Windows overlap and are weighted as in MONAI's
 * `sliding_window_inference`; a scan is resampled to the spacing that the model was trained at, and its mask brought back.
 * A scan that cannot be used is reported and does not stop the others. Run again after a kill, it goes on behind the last finished scan.
 * @throws UserError when the model is no segmenter of one channel, the windows do not suit it, the folder is among its
 *   inputs or holds results of other options, or nothing can be written
 * @example
 * await segment({ model: 'model/segmenter.onnx', input: ['scans'], out: 'segmented' });
 */
export async function segment(options: SegmentOptions): Promise<SegmentSummary> {
  const {
    out,
    format = 'nii.gz',
    probabilities = false,
    largestComponent = false,
    minimumVolume = 0,
  } = options;
  checkOptions(options);
  const model = await openScanModel(options, 'segmenter');
  try {
    const windows = checkedWindows(model, options, OVERLAP);
    const classes = classesOf(model);
    return await withResultFolder(out, options.input, 'segment', options.shard, async () => {
      const folders = folderNames(classes);
      const { window, overlap } = windows;
      const { scans, present, kept, failures } = await forEachScan<Pictured, Entry>(model, options, {
        label: 'segment',
        journal: journalPath(out),
        settings: { window, overlap, format, probabilities, largestComponent, minimumVolume },
        isThere: ({ files }) => files.every((file) => existsSync(join(out, file))),
        compute: async (scan, onWindows) => {
          const segmentation = await segmentScan(model, scan, windows, probabilities, onWindows);
          cleanMask(segmentation.mask, options);
          return { ...segmentation, picture: maskPicture(scan, segmentation.mask) };
        },
        write: (name, segmentation) => writeResults(options, folders, name, segmentation),
      });
      if (!options.shard && scans.length > 0)
        writeFileAtomic(join(out, 'volumes.csv'), volumesToCsv(volumesOf(present, classes)));
      return { out, scans: scans.length, kept, volumes: volumesOf(scans, classes), failures };
    });
  } finally {
    await model.release();
  }
}
