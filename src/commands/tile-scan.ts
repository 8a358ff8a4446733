/** Reading one scan and cutting it into tiles: what `prepare` does in its threads. */

import { orientLPS } from '../data/scan/geometry.js';
import { checkHounsfield } from '../data/scan/hounsfield.js';
import { readVolume } from '../data/scan/index.js';
import { normaliseVolume } from '../data/scan/normalise.js';
import type { Volume, XYZ } from '../data/scan/volume.js';
import type { StoreOptions, TiledScan } from '../data/store/manifest.js';
import { sourceFiles } from '../data/store/sources.js';
import { cutTile, isRejected, tileOrigins } from '../data/store/tiling.js';
import { finishedScan, type ScanToTile, writeScan } from '../data/store/writer.js';
import { UserError } from '../errors.js';
import { type Problem, problemOf } from './scan-error.js';

/** What a thread is told of one scan. */
export interface ScanJob {
  readonly out: string;
  readonly id: string;
  readonly path: string;
  readonly options: StoreOptions;
  /** The user says that the values are HU, whatever they look like. */
  readonly trusted: boolean;
}

/** Reads and tiles one scan. @throws UserError of kind `disk` when the tiles cannot be written */
export async function tileScan(job: ScanJob): Promise<TiledScan | Problem> {
  const { out, options } = job;
  const loaded = await loadScan(job);
  return 'problem' in loaded || 'shard' in loaded ? loaded : writeScan(out, loaded, options.size);
}

/** A scan that was finished before, one to be written, or why it cannot be used. @throws what is a defect of ours */
async function loadScan({
  out,
  id,
  path,
  options,
  trusted,
}: ScanJob): Promise<TiledScan | ScanToTile | Problem> {
  try {
    const files = await sourceFiles(path);
    const finished = finishedScan(out, id, files, options.size);
    if (finished) return finished;
    const stored = await readVolume(path);
    if (looksLikeMask(stored)) throw maskGiven(path);
    if (options.normalise === 'hu') checkHounsfield(stored, path, trusted);
    const volume = normaliseVolume(orientLPS(stored), options.normalise, path);
    return { id, files, volume, origins: keptOrigins(path, volume, options) };
  } catch (error) {
    return problemOf(error, path);
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

const maskGiven = (where: string) =>
  new UserError('input', {
    what: 'this is a mask, not a scan',
    where,
    got: `no more than ${MOST_LABELS} different values, none below 0`,
    expected: 'an image, such as a CT in HU',
    fix: 'remove the folders of masks from --input',
  });

function keptOrigins(path: string, volume: Volume, options: StoreOptions): XYZ[] {
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
      what: `all ${origins.length} tiles of the scan are rejected`,
      where: path,
      got: `reject ${options.reject}`,
    });
  }
  return kept;
}
