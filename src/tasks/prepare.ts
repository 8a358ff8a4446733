import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { findScans, readVolume } from '../data/formats/index.js';
import { orientLPS } from '../data/geometry.js';
import {
  manifestPath,
  manifestText,
  type Split,
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
 * Cuts scans into tiles for training: a store that {@link openTileStore} opens. Works scan by scan, with at most
 * two in memory; scans that an earlier, interrupted run has finished are not read again.
 * A scan that cannot be used does not stop the others: it is in `failures`.
 * @throws UserError for bad options, a folder with other options or in use, and when the disk is full
 */
export async function prepare(options: PrepareOptions): Promise<PrepareSummary> {
  const { out, onProgress } = options;
  const storeOptions = checkedOptions(options);
  const sources = identifyScans((await findScans(options.input)).filter((path) => !isInside(path, out)));
  const given = options.split === undefined ? undefined : readSplit(options.split, [...sources.keys()]);
  try {
    mkdirSync(out, { recursive: true });
    const lock = acquireLock(out, 'prepare');
    try {
      claimFolder(out, storeOptions);
      removeLeftovers(out);
      const { scans, failures } = await tileScans(out, sources, storeOptions, onProgress);
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

/** Tiles scan after scan; the next one is read while the tiles of this one are written. */
async function tileScans(
  out: string,
  sources: ReadonlyMap<string, string>,
  options: StoreOptions,
  onProgress: PrepareOptions['onProgress'],
): Promise<{ scans: TiledScan[]; failures: Failure[] }> {
  const scans: TiledScan[] = [];
  const failures: Failure[] = [];
  const entries = [...sources];
  const load = (i: number) => entries[i] && loadScan(out, ...entries[i], options);
  onProgress?.(0, entries.length);
  let ahead = load(0);
  for (let i = 0; i < entries.length; i++) {
    const loaded = (await ahead)!;
    ahead = load(i + 1);
    if ('problem' in loaded) failures.push({ source: entries[i]![1], message: loaded.problem });
    else scans.push('shard' in loaded ? loaded : await writeScan(out, loaded, options.size));
    onProgress?.(i + 1, entries.length);
  }
  return { scans, failures };
}

/** A scan that was finished before, one to be written, or why it cannot be used. Never rejects. */
async function loadScan(
  out: string,
  id: string,
  path: string,
  options: StoreOptions,
): Promise<TiledScan | ScanToTile | { problem: string }> {
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
