import { checkAgainst } from '../config/problems.js';
import { findScans } from '../data/scan/index.js';
import type { Normalisation } from '../data/scan/normalise.js';
import type { XYZ } from '../data/scan/volume.js';
import { type Failure, keptFailures, toldFailures } from '../data/store/arrays.js';
import { firstOfCopies } from '../data/store/copies.js';
import {
  manifestText,
  type StoreOptions,
  storeOptionsSchema,
  type TiledScan,
} from '../data/store/manifest.js';
import { identifyScans } from '../data/store/sources.js';
import { drawSplit, readSplit } from '../data/store/split.js';
import type { Split } from '../data/store/tile-source.js';
import { openTileStore, shardOf } from '../data/store/tiles.js';
import type { Rejection } from '../data/store/tiling.js';
import { claimFolder } from '../data/store/writer.js';
import { UserError } from '../errors.js';
import { checkThreads } from '../machine.js';
import { type Reporter, type Reporting, silent } from '../progress.js';
import { checkShard, type Shard, shardOf as scansOfShard } from '../shard.js';
import { version } from '../version.js';
import { checkStoreFolder, writeShard, writeStore } from './store-folder.js';
import { tileScans } from './tile-scans.js';

/** Share that is for validation, where the caller names none: of the scans, or of the patients of samples. */
export const VAL_FRACTION = 0.2;

export interface PrepareOptions extends Reporting {
  /** Scans, and folders of scans. */
  readonly input: string[];
  /** Folder of the store; one that was interrupted goes on. */
  readonly out: string;
  /** Voxels of a tile, each a multiple of 8; default 128×128×64. */
  readonly size?: XYZ;
  /** Voxels that are trimmed at both ends of z; default 0. */
  readonly zBorder?: number;
  /** Voxels that are trimmed at both ends of x and of y; default 0. */
  readonly xyBorder?: number;
  /** Which tiles are left out; default none. */
  readonly reject?: Rejection;
  /**
   * What the values become: HU as they are, or thousandths of each scan's range or standard deviation. Without it scans
   * must be of HU, and look like it.
   */
  readonly normalise?: Normalisation;
  /** Share of the scans that is for validation; default 0.2. */
  readonly valFraction?: number;
  /** A file that says which scan is for what, instead of `valFraction`: see {@link readSplit}. */
  readonly split?: string;
  /** Whether DICOM series go by their own identifier (UID), which may lead to the patient; default false. */
  readonly keepUids?: boolean;
  /** Of the split; default 1. */
  readonly seed?: number;
  /** Threads that read and tile, at most as many as there are scans, and four a core; by default one more than there are cores. The result does not depend on it. */
  readonly workers?: number;
}

export interface PrepareSummary {
  readonly out: string;
  readonly scans: readonly PreparedScan[];
  /** Scans that could not be used, and why. */
  readonly failures: readonly Failure[];
  readonly trainTiles: number;
  readonly validationTiles: number;
  /** Of the store: see {@link openTileStore}. */
  readonly hash: string;
}

interface PreparedScan {
  readonly id: string;
  readonly split: Split;
  readonly tiles: number;
  /** Voxels that were no numbers; absent when there were none. */
  readonly nonFinite?: number;
  /** Voxels whose HU are beyond int16; absent when there were none. */
  readonly clamped?: number;
  /** How slices of a tilted gantry or at uneven distances, were mended; absent when there was no need. */
  readonly resampled?: string;
}

/** Sizes of wholes are halved three times by the network that is published. */
const SIZE_FACTOR = 8;

/**
 * Cuts scans into tiles for training: a store that {@link openTileStore} opens. Each thread has one scan
 * in memory; scans that an earlier, interrupted run has finished are not read again.
 * A scan that cannot be used does not stop the others: it is in `failures`.
 * @throws UserError for bad options, no input, a folder among the scans, with something else in it or in use, and when the disk is full
 * @example
 * await prepare({ input: ['scans'], out: 'tiles', size: [32, 32, 16] });
 */
export async function prepare(options: PrepareOptions): Promise<PrepareSummary> {
  const { out } = options;
  const { sources, storeOptions, tilingOptions } = await examine(options);
  const given = options.split === undefined ? undefined : readSplit(options.split, [...sources.keys()]);
  let told: readonly Failure[] = [];
  await writeStore(out, async () => {
    claimFolder(out, storeOptions);
    const { scans, failures } = await tileScans(out, sources, storeOptions, tilingOptions);
    told = toldFailures(failures);
    const ids = scans.map(({ id }) => id);
    const split = given ?? drawnSplit(scans, storeOptions, options.reporter);
    const manifest = manifestText({
      createdBy: `parts2whole ${version}`,
      size: storeOptions.size,
      options: storeOptions,
      scans: scans.map((scan) => ({ ...scan, split: split.get(scan.id)! })),
      failures: keptFailures(failures),
    });
    return { manifest, scans: ids, arrays: scans.map((scan) => shardOf(out, scan, storeOptions.size)) };
  });
  return summarise(out, told);
}

/** A split in which copies of a scan, under whatever names, are for the same purpose. */
function drawnSplit(
  scans: readonly TiledScan[],
  { valFraction, seed }: StoreOptions,
  reporter: Reporter = silent,
): Map<string, Split> {
  const contents = scans.map(
    ({ id, tiles }) => [id, tiles.map(({ sha256 }) => sha256).join() || id] as const,
  );
  const copies = firstOfCopies(contents);
  const drawn = drawSplit([...new Set(copies.values())], valFraction!, seed);
  for (const [id, first] of copies)
    if (id !== first) reporter.log(`${id}: the same voxels as ${first}, and for the same purpose`);
  return new Map([...copies].map(([id, first]) => [id, drawn.get(first)!]));
}

/** What one shard has done. */
export interface ShardSummary {
  readonly out: string;
  /** Scans that are done, also by an earlier run. */
  readonly scans: number;
  readonly failures: readonly Failure[];
}

/**
 * Tiles one shard's share of the scans, while other processes do theirs, on this machine or on others with the same folder.
 * {@link prepare} with the same options then finds them done, and makes the store.
 * @throws UserError as {@link prepare}
 * @example
 * await prepareShard({ input: ['scans'], out: 'tiles' }, { index: 2, count: 8 });
 */
export async function prepareShard(options: PrepareOptions, shard: Shard): Promise<ShardSummary> {
  checkShard(shard);
  const { out } = options;
  const { sources, storeOptions, tilingOptions } = await examine(options);
  const own = new Map(scansOfShard([...sources], shard));
  return writeShard(out, shard, async () => {
    claimFolder(out, storeOptions);
    const { scans, failures } = await tileScans(out, own, storeOptions, tilingOptions);
    return { out, scans: scans.length, failures: toldFailures(failures) };
  });
}

/** What is to be tiled, and how. @throws UserError for bad options, no input, and a folder among the scans or with something else in it */
async function examine(options: PrepareOptions) {
  const { out, workers, normalise, keepUids = false, reporter = silent } = options;
  if (options.input.length === 0)
    throw new UserError('usage', {
      what: 'there is nothing to prepare',
      where: 'input',
      expected: 'scans, or folders of scans',
    });
  const storeOptions = checkedOptions(options);
  if (workers !== undefined) checkThreads('workers', workers, 1);
  checkStoreFolder(out, options.input, 'tiles');
  const found = await findScans(options.input, { keepUids, passedOver: (line) => reporter.log(line) });
  checkStoreFolder(out, found, 'tiles'); // a link may lead into it
  const tilingOptions = { workers, reporter, trusted: normalise === 'hu' };
  return { sources: identifyScans(found), storeOptions, tilingOptions };
}

function checkedOptions(options: PrepareOptions): StoreOptions {
  const { size = [128, 128, 64], zBorder = 0, xyBorder = 0, reject = 'none' } = options;
  const { normalise = 'hu', seed = 1, split, valFraction = VAL_FRACTION } = options;
  const checked = checkAgainst(storeOptionsSchema, {
    ...{ size, zBorder, xyBorder, reject, orientation: 'LPS', normalise, seed },
    valFraction: split === undefined ? valFraction : null,
  });
  if ('problems' in checked)
    throw new UserError('usage', { what: checked.problems.map(({ text }) => text).join('; ') });
  checkTileSize(size);
  if (normalise !== 'hu' && reject !== 'none')
    throw new UserError('usage', {
      what: 'air and soft tissue are recognised by their HU, but these values are normalised',
      where: 'reject',
      got: `${reject}, with normalise ${normalise}`,
      expected: 'none',
    });
  return checked.value;
}

/** @throws UserError unless the published network can take tiles of this size */
export function checkTileSize(size: XYZ): void {
  if (size.every((length) => length % SIZE_FACTOR === 0)) return;
  throw new UserError('usage', {
    what: 'tiles of this size do not fit the network, which halves them several times',
    where: 'size',
    got: size.join('×'),
    expected: `multiples of ${SIZE_FACTOR}`,
  });
}

/** What is in a store that is finished. @param failures as the user is told of them */
export function summarise(out: string, failures: readonly Failure[]): PrepareSummary {
  const { manifest, train, validation, hash } = openTileStore(out);
  const scans = manifest.scans.map(
    ({ id, split, tiles, nonFinite, clamped, resampled }): PreparedScan => ({
      ...{ id, split, tiles: tiles.length },
      ...(nonFinite && { nonFinite }),
      ...(clamped && { clamped }),
      ...(resampled && { resampled }),
    }),
  );
  return { out, scans, failures, trainTiles: train.length, validationTiles: validation.length, hash };
}

/** What was wrong with a few of a scan's voxels, as the end of a line. */
const flawsOf = ({
  nonFinite = 0,
  clamped = 0,
  resampled = '',
}: Pick<PreparedScan, 'nonFinite' | 'clamped' | 'resampled'>) =>
  (resampled === '' ? '' : `; ${resampled}`) +
  (nonFinite > 0 ? `; ${nonFinite} voxels were NaN or infinite` : '') +
  (clamped > 0 ? `; ${clamped} voxels beyond ±32768 HU were clamped` : '');

/** A summary as text: a line a scan, what failed and why, and the sums. */
export function formatPrepare({ out, scans, failures, trainTiles, validationTiles }: PrepareSummary): string {
  const of = (split: Split) => scans.filter((scan) => scan.split === split).length;
  return [
    ...scans.map(({ id, split, tiles, ...flaws }) => `${id}: ${tiles} tiles, ${split}${flawsOf(flaws)}`),
    ...failures.map(({ source, message }) => `${source}: failed\n  ${message.replaceAll('\n', '\n  ')}`),
    `${out}: ${of('train')} scans (${trainTiles} tiles) for training, ${of('validation')} scans (${validationTiles} tiles) for validation, ${failures.length} failed`,
  ].join('\n');
}
