import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { findScans, readVolume } from '../data/formats/index.js';
import { orientLPS } from '../data/geometry.js';
import type { Split } from '../data/tile-source.js';
import {
  manifestPath,
  manifestText,
  type StoreOptions,
  storeOptionsSchema,
  type TiledScan,
} from '../data/tile-store-manifest.js';
import { identifyScans, isInside, sourceFiles } from '../data/tile-store-sources.js';
import { drawSplit, readSplit } from '../data/tile-store-split.js';
import {
  claimFolder,
  finishedScan,
  removeLeftovers,
  type ScanToTile,
  writeScan,
} from '../data/tile-store-writer.js';
import { openTileStore } from '../data/tiles.js';
import { cutTile, isRejected, type Rejection, tileOrigins } from '../data/tiling.js';
import type { Volume, XYZ } from '../data/volume.js';
import { fromSystemError, UserError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { acquireLock } from '../lock.js';
import { startThreads } from '../worker.js';

const { version } = createRequire(import.meta.url)('parts2whole/package.json') as { version: string };

export interface PrepareOptions {
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
  /** `LPS` (the default) turns all scans alike, without resampling; `keep` leaves their axes as they are stored. */
  readonly orientation?: 'LPS' | 'keep';
  /** Share of the scans that is for validation; default 0.2. */
  readonly valFraction?: number;
  /** A file that says which scan is for what, instead of `valFraction`: see {@link readSplit}. */
  readonly split?: string;
  /** Of the split; default 1. */
  readonly seed?: number;
  /** Threads that read and tile, at most; by default one more than there are cores. The result does not depend on it. */
  readonly workers?: number;
  /** Called before the first scan and after each. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface PrepareSummary {
  readonly out: string;
  readonly scans: readonly { readonly id: string; readonly split: Split; readonly tiles: number }[];
  /** Scans that could not be used, and why. */
  readonly failures: readonly Failure[];
  readonly trainTiles: number;
  readonly validationTiles: number;
  /** Of the store: see {@link openTileStore}. */
  readonly hash: string;
}

interface Failure {
  readonly source: string;
  readonly message: string;
}

/** Sizes of wholes are halved three times by the network that is published. */
const SIZE_FACTOR = 8;

/**
 * Cuts scans into tiles for training: a store that {@link openTileStore} opens. Each thread has one scan
 * in memory; scans that an earlier, interrupted run has finished are not read again.
 * A scan that cannot be used does not stop the others: it is in `failures`.
 * @throws UserError for bad options, a folder with other options or in use, and when the disk is full
 * @example
 * await prepare({ input: ['scans'], out: 'tiles', size: [32, 32, 16] });
 */
export async function prepare(options: PrepareOptions): Promise<PrepareSummary> {
  const { out } = options;
  const storeOptions = checkedOptions(options);
  const sources = identifyScans((await findScans(options.input)).filter((path) => !isInside(path, out)));
  const given = options.split === undefined ? undefined : readSplit(options.split, [...sources.keys()]);
  try {
    mkdirSync(out, { recursive: true });
    const lock = acquireLock(out, 'prepare');
    try {
      claimFolder(out, storeOptions);
      removeLeftovers(out);
      const { scans, failures } = await tileScans(out, sources, storeOptions, options);
      const ids = scans.map(({ id }) => id);
      const split = given ?? drawSplit(ids, storeOptions.valFraction!, storeOptions.seed);
      const manifest = {
        createdBy: `parts2whole ${version}`,
        size: storeOptions.size,
        options: storeOptions,
        scans: scans.map((scan) => ({ ...scan, split: split.get(scan.id)! })),
        failures,
      };
      writeFileAtomic(manifestPath(out), manifestText(manifest));
      return summarise(out, failures);
    } finally {
      lock.release();
    }
  } catch (error) {
    throw fromSystemError(error, out);
  }
}

function checkedOptions(options: PrepareOptions): StoreOptions {
  const { size = [128, 128, 64], zBorder = 0, xyBorder = 0, reject = 'none' } = options;
  const { orientation = 'LPS', seed = 1, split, valFraction = 0.2 } = options;
  const result = storeOptionsSchema.safeParse({
    ...{ size, zBorder, xyBorder, reject, orientation, seed },
    valFraction: split === undefined ? valFraction : null,
  });
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new UserError('usage', { what: issue!.message, where: issue!.path.join('.') });
  }
  if (size.some((length) => length % SIZE_FACTOR !== 0)) {
    throw new UserError('usage', {
      what: 'the network cannot halve tiles of this size often enough',
      where: 'size',
      got: size.join('×'),
      expected: `multiples of ${SIZE_FACTOR}`,
    });
  }
  return result.data;
}

/** Bytes of files that a thread must have to do, for its start to pay. */
const BYTES_A_THREAD = 16e6;

/** One more than there are cores, as one often waits for the disk; more than these only take memory. */
const mostThreads = () => Math.min(availableParallelism() + 1, 16);

/** What a thread is told of one scan. */
export interface ScanJob {
  readonly out: string;
  readonly id: string;
  readonly path: string;
  readonly options: StoreOptions;
}

/** Tiles all scans, several at once where that pays. */
async function tileScans(
  out: string,
  sources: ReadonlyMap<string, string>,
  options: StoreOptions,
  { workers = mostThreads(), onProgress }: PrepareOptions,
): Promise<{ scans: TiledScan[]; failures: Failure[] }> {
  const jobs = [...sources].map(([id, path]): ScanJob => ({ out, id, path, options }));
  const sizes = await Promise.all(jobs.map(({ path }) => sourceBytes(path)));
  const bytes = sizes.reduce((a, b) => a + b, 0);
  const count = Math.min(workers, jobs.length, Math.floor(bytes / BYTES_A_THREAD));
  const threads =
    count > 1
      ? startThreads<ScanJob, TiledScan | Problem>(import.meta.url, './prepare.worker', null, count)
      : null;
  let done = 0;
  onProgress?.(0, jobs.length);
  const results: (TiledScan | Problem)[] = [];
  try {
    const tile = async (job: ScanJob, i: number) => {
      results[i] = await (threads ? threads.ask(job) : tileScan(job));
      onProgress?.(++done, jobs.length);
    };
    if (threads) await Promise.all(jobs.map(tile));
    else for (const [i, job] of jobs.entries()) await tile(job, i);
  } finally {
    await threads?.close();
  }
  return {
    scans: results.filter((result) => 'shard' in result),
    failures: results.flatMap((result, i) =>
      'problem' in result ? [{ source: jobs[i]!.path, message: result.problem }] : [],
    ),
  };
}

/** Bytes of a scan's files; 0 for one that cannot be read, which is reported later. */
async function sourceBytes(path: string): Promise<number> {
  try {
    return (await sourceFiles(path)).reduce((sum, { bytes }) => sum + bytes, 0);
  } catch {
    return 0;
  }
}

/** Why a scan cannot be used. */
interface Problem {
  readonly problem: string;
}

/** Reads and tiles one scan. @throws UserError of kind `disk` when the tiles cannot be written */
export async function tileScan({ out, id, path, options }: ScanJob): Promise<TiledScan | Problem> {
  const loaded = await loadScan(out, id, path, options);
  return 'problem' in loaded || 'shard' in loaded ? loaded : writeScan(out, loaded, options.size);
}

/** A scan that was finished before, one to be written, or why it cannot be used. Never rejects. */
async function loadScan(
  out: string,
  id: string,
  path: string,
  options: StoreOptions,
): Promise<TiledScan | ScanToTile | Problem> {
  try {
    const files = await sourceFiles(path);
    const finished = finishedScan(out, id, files, options.size);
    if (finished) return finished;
    const stored = await readVolume(path);
    const volume = options.orientation === 'LPS' ? orientLPS(stored) : stored;
    return { id, files, volume, origins: keptOrigins(path, volume, options) };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

/** A mask of organs rarely has more labels, background included; a scan has more values. */
const MOST_LABELS = 16;

/** Whether a volume holds a few labels, none below 0, rather than an image. */
function looksLikeMask({ voxels }: Volume): boolean {
  const labels = new Set<number>();
  let last = Number.NaN;
  for (const value of voxels) {
    if (value === last) continue;
    last = value;
    labels.add(value);
    if (value < 0 || labels.size > MOST_LABELS) return false;
  }
  return true;
}

function keptOrigins(path: string, volume: Volume, options: StoreOptions): XYZ[] {
  if (looksLikeMask(volume)) {
    throw new UserError('input', {
      what: 'this is a mask, not a scan',
      where: path,
      got: `at most ${MOST_LABELS} different values, none below 0`,
      expected: 'an image, such as a CT in HU',
      fix: 'leave the folders of masks out of --input',
    });
  }
  const origins = tileOrigins(volume.size, options);
  if (origins.length === 0) {
    throw new UserError('input', {
      what: 'the scan is smaller than a tile',
      where: path,
      got: `${volume.size.join('×')} voxels`,
      expected: `${options.size.join('×')}, within borders of ${options.xyBorder} (x, y) and ${options.zBorder} (z)`,
      fix: 'choose smaller tiles',
    });
  }
  const kept = origins.filter(
    (origin) =>
      options.reject === 'none' || !isRejected(cutTile(volume, origin, options.size), options.reject),
  );
  if (kept.length === 0) {
    throw new UserError('input', {
      what: `all ${origins.length} tiles of the scan are left out`,
      where: path,
      got: `reject ${options.reject}`,
    });
  }
  return kept;
}

function summarise(out: string, failures: readonly Failure[]): PrepareSummary {
  const { manifest, train, validation, hash } = openTileStore(out);
  const scans = manifest.scans.map(({ id, split, tiles }) => ({ id, split, tiles: tiles.length }));
  return { out, scans, failures, trainTiles: train.length, validationTiles: validation.length, hash };
}

/** A summary as text: a line a scan, what failed and why, and the sums. */
export function formatPrepare({ out, scans, failures, trainTiles, validationTiles }: PrepareSummary): string {
  const of = (split: Split) => scans.filter((scan) => scan.split === split).length;
  return [
    ...scans.map(({ id, split, tiles }) => `${id}: ${tiles} tiles, ${split}`),
    ...failures.map(({ source, message }) => `${source}: failed\n  ${message.replaceAll('\n', '\n  ')}`),
    `${out}: ${of('train')} scans (${trainTiles} tiles) for training, ${of('validation')} scans (${validationTiles} tiles) for validation, ${failures.length} failed`,
  ].join('\n');
}
