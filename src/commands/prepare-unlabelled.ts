import { statSync } from 'node:fs';
import { basename } from 'node:path';
import type { SampleEntry } from '../data/samples/manifest.js';
import { imagePath, openSampleStore, readSample, type SampleStore } from '../data/samples/store.js';
import { tileNormalisationOf, tileValues } from '../data/samples/values.js';
import type { Volume, XYZ } from '../data/scan/volume.js';
import { type Manifest, manifestText, type StoreOptions } from '../data/store/manifest.js';
import { drawSplit } from '../data/store/split.js';
import { shardOf } from '../data/store/tiles.js';
import { tileOrigins } from '../data/store/tiling.js';
import { claimFolder, writeScan } from '../data/store/writer.js';
import { UserError } from '../errors.js';
import { type Reporting, silent } from '../progress.js';
import { version } from '../version.js';
import { checkTileSize, type PrepareSummary, summarise, VAL_FRACTION } from './prepare.js';
import { checkStoreFolder, writeStore } from './store-folder.js';

export interface PrepareUnlabelledOptions extends Reporting {
  /** A sample store. */
  readonly input: string;
  /** Folder of the tile store. */
  readonly out: string;
  /** Voxels of a tile, each a multiple of 8; those of a sample by default. */
  readonly size?: XYZ;
  /** Share of the patients that is for the validation of pre-training; default 0.2. */
  readonly valFraction?: number;
  /** Of the split; default 1. */
  readonly seed?: number;
}

/**
 * Makes tiles of the images of a sample store, without their labels: for pre-training on a target task's own images. Only the
 * training split is used, so that nothing of a validation or test patient is seen.
 * @throws UserError for samples of several channels, tiles larger than samples, and as `prepare`
 * @example
 * await prepareUnlabelled({ input: 'nodules', out: 'tiles' });
 */
export async function prepareUnlabelled(options: PrepareUnlabelledOptions): Promise<PrepareSummary> {
  const { input, out, valFraction = VAL_FRACTION, seed = 1, reporter = silent } = options;
  checkStoreFolder(out, [input], 'tiles');
  const store = openSampleStore(input);
  const { channels, size: sampleSize, samples } = store.manifest;
  const size = options.size ?? sampleSize;
  checkTileSize(size);
  if (channels > 1)
    throw new UserError('usage', {
      what: 'pre-training takes images of one channel',
      where: input,
      got: `${channels} channels`,
    });
  if (size.some((length, axis) => length > sampleSize[axis]!))
    throw new UserError('usage', {
      what: 'the tiles are larger than the samples',
      where: 'size',
      got: size.join('×'),
      expected: `at most ${sampleSize.join('×')}`,
    });
  const training = samples.filter(({ split }) => split === 'train');
  const split = drawSplit([...new Set(training.map(({ patient }) => patient))], valFraction, seed);
  const storeOptions: StoreOptions = {
    ...{ size, zBorder: 0, xyBorder: 0, reject: 'none', orientation: 'LPS' },
    ...{ normalise: tileNormalisationOf(store.manifest), seed, valFraction },
  };
  await writeStore(out, async () => {
    claimFolder(out, storeOptions);
    const progress = reporter.start({ label: 'prepare', total: training.length, unit: 'samples' });
    const scans: Manifest['scans'][number][] = [];
    try {
      for (const sample of training) {
        const scan = writeScan(out, scanOf(store, sample, size), size);
        progress.update(scans.push({ ...scan, split: split.get(sample.patient)! }));
      }
    } finally {
      progress.stop();
    }
    const createdBy = `parts2whole ${version}`;
    const manifest = manifestText({ createdBy, size, options: storeOptions, scans, failures: [] });
    return {
      manifest,
      scans: scans.map(({ id }) => id),
      arrays: scans.map((scan) => shardOf(out, scan, size)),
    };
  });
  return summarise(out, []);
}

/** A sample's image as a scan, in the values of tiles. Samples do not keep their place in the world. */
function scanOf(store: SampleStore, sample: SampleEntry, tileSize: XYZ) {
  const { size } = store.manifest;
  const { image } = readSample(store, sample);
  const volume: Volume = {
    ...{ size, spacing: sample.spacing, origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] },
    voxels: tileValues(image, store.manifest),
  };
  const path = imagePath(store.folder, sample.shard);
  const { size: bytes, mtimeMs: modifiedMs } = statSync(path);
  return {
    id: sample.id,
    files: [{ name: basename(path), bytes, modifiedMs }],
    volume,
    origins: tileOrigins(size, { size: tileSize, zBorder: 0, xyBorder: 0, reject: 'none' }),
  };
}
