import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type VolumeFormat, writeVolume } from '../data/scan/write-volume.js';
import type { Failure } from '../data/store/arrays.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import type { ImageModel } from '../inference/image-model.js';
import type { ModelScan } from '../inference/model-scan.js';
import { checkedWindows } from '../inference/predict-scan.js';
import { type Reconstruction, reconstructScan } from '../inference/reconstruction.js';
import { storedOrder } from '../inference/stored-order.js';
import { type Colour, scanPicture } from '../report/scan-picture.js';
import { toCsv } from '../tables/csv.js';
import { journalPath, withResultFolder } from './result-folder.js';
import { forEachScan, type KnownScan, openScanModel, type WholeScanOptions } from './whole-scans.js';

export interface ReconstructOptions extends WholeScanOptions {
  /** Folder of the results: `pictures/`, `reconstructions/`, `errors/`, `errors.csv`. One that was begun goes on. */
  readonly out: string;
  /** Of reconstructions and error maps; `nii.gz` without it. */
  readonly format?: VolumeFormat;
}

/** How far a reconstruction is from its scan, in shares of the model's window; means over all voxels. */
export interface ReconstructionErrors {
  readonly scan: string;
  readonly meanAbsoluteError: number;
  readonly meanSquaredError: number;
}

export interface ReconstructSummary {
  readonly out: string;
  readonly scans: number;
  /** Of these scans; `errors.csv` has those of all scans that have reconstructions in the folder. */
  readonly errors: readonly ReconstructionErrors[];
  readonly failures: readonly Failure[];
}

/** What is known of a finished scan. */
interface Entry extends Omit<ReconstructionErrors, 'scan'> {
  /** Files, relative to the output folder. */
  readonly files: readonly string[];
}

interface Pictured extends Reconstruction {
  /** PNG. */
  readonly picture: Uint8Array;
}

const OVERLAP = 0.5;

/** An error that is drawn as bright as any larger one. */
const BRIGHTEST_ERROR = 0.5;

/** Black, red, yellow, white. */
function heat(share: number): Colour {
  const at = 3 * Math.min(share, 1);
  const level = (from: number) => 255 * Math.min(Math.max(at - from, 0), 1);
  return [level(0), level(1), level(2)];
}

/** The scan, above what the model makes of it, above the error. */
export function reconstructionPicture(
  { window: { low, high } }: ImageModel,
  scan: ModelScan,
  { image, errors }: Reconstruction,
) {
  const { volume, stored } = scan;
  const { first, step } = storedOrder(volume, stored);
  const at = (x: number, y: number, z: number) => first + x * step[0] + y * step[1] + z * step[2];
  const grey = (value: number): Colour => {
    const level = (255 * (Math.min(Math.max(value, low), high) - low)) / (high - low);
    return [level, level, level];
  };
  const centre = volume.size.map((length) => Math.floor(length / 2)) as [number, number, number];
  return scanPicture(volume, centre, [
    (x, y, z) => grey(scan.read({ size: [1, 1, 1], first: [x, y, z], step: [1, 1, 1] })[0]!),
    (x, y, z) => grey(image.voxels[at(x, y, z)]!),
    (x, y, z) => heat(errors.voxels[at(x, y, z)]! / BRIGHTEST_ERROR),
  ]);
}

async function writeResults(
  { out, format = 'nii.gz' }: ReconstructOptions,
  name: string,
  { picture, image, errors, meanAbsoluteError, meanSquaredError }: Pictured,
): Promise<Entry> {
  const files = [
    `pictures/${name}.png`,
    `reconstructions/${name}.${format}`,
    `errors/${name}.${format}`,
  ] as const;
  for (const file of files) makeFolder(dirname(join(out, file)), out);
  writeFileAtomic(join(out, files[0]), picture);
  await writeVolume(join(out, files[1]), image, format);
  await writeVolume(join(out, files[2]), errors, format);
  return { files, meanAbsoluteError, meanSquaredError };
}

const errorsOf = (scans: readonly KnownScan<Entry>[]): ReconstructionErrors[] =>
  scans.map(({ name, entry: { files: _, ...means } }) => ({ scan: name, ...means }));

const errorsToCsv = (errors: readonly ReconstructionErrors[]): string =>
  toCsv(
    ['scan', 'mean_absolute_error', 'mean_squared_error'],
    errors.map(({ scan, meanAbsoluteError, meanSquaredError }) => [
      scan,
      meanAbsoluteError,
      meanSquaredError,
    ]),
  );

/**
 * Shows what an autoencoder makes of whole scans: pictures beside the scans, reconstructions, and the error at each voxel, on the scans' own
 * grids. A scan that cannot be used is reported and does not stop the others. Run again after a kill, it goes on behind the last
 * finished scan.
 * @throws UserError when the model is no autoencoder, the windows do not suit it, the folder is among its inputs or holds
 *   results of other options, or nothing can be written
 * @example
 * await reconstruct({ model: 'autoencoder/autoencoder.onnx', input: ['scans'], out: 'reconstructed' });
 */
export async function reconstruct(options: ReconstructOptions): Promise<ReconstructSummary> {
  const { out, format = 'nii.gz' } = options;
  const model = await openScanModel(options, 'autoencoder');
  try {
    const windows = checkedWindows(model, options, OVERLAP);
    return await withResultFolder(out, options.input, 'reconstruct', options.shard, async () => {
      const { window, overlap } = windows;
      const { scans, present, failures } = await forEachScan<Pictured, Entry>(model, options, {
        label: 'reconstruct',
        journal: journalPath(out),
        settings: { window, overlap, format },
        isThere: ({ files }) => files.every((file) => existsSync(join(out, file))),
        compute: async (scan, onWindows) => {
          const reconstruction = await reconstructScan(model, scan, windows, onWindows);
          return { ...reconstruction, picture: reconstructionPicture(model, scan, reconstruction) };
        },
        write: (name, result) => writeResults(options, name, result),
      });
      if (!options.shard && scans.length > 0)
        writeFileAtomic(join(out, 'errors.csv'), errorsToCsv(errorsOf(present)));
      return { out, scans: scans.length, errors: errorsOf(scans), failures };
    });
  } finally {
    await model.release();
  }
}
