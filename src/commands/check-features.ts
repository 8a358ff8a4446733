/** Whether feature vectors are those of a model and its windows, found out by computing some of them again. */
import type { XYZ } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import type { ImageModel } from '../inference/image-model.js';
import { type ModelScan, readModelScan } from '../inference/model-scan.js';
import { type Precision, relativeRms, USUAL_ERROR } from '../inference/precision.js';
import type { Windows } from '../inference/predict-scan.js';
import { meanVector, vectorsAround, windowVectors } from '../inference/window-vectors.js';
import { planWindows, windowCount } from '../inference/windows.js';
import type { FeatureRow } from '../search/feature-row.js';
import { spreadEvenly } from '../spread.js';
import { messageOf, onOneLine } from './scan-error.js';

/** What the same windows may differ by on another machine or device, as a relative RMS; other windows differ by more. */
const TOLERANCE = 0.01;

/** So many windows of a scan are computed at most: those at its border may be air, which is the same in windows of any size. */
const MOST_WINDOWS = 8;

/** So many ways to cover a scan are tried at most. */
const MOST_OVERLAPS = 3;

/** Overlaps, in steps of a hundredth, with which windows cover an image in as many windows; one of those that give the same windows. */
function overlapsOf(size: XYZ, window: XYZ, count: number): number[] {
  const plans = Array.from({ length: 100 }, (_, percent) => planWindows(size, window, percent / 100));
  const overlaps = new Map<string, number>();
  for (const [percent, plan] of plans.entries()) {
    const key = JSON.stringify(plan.starts);
    if (windowCount(plan) === count && !overlaps.has(key)) overlaps.set(key, percent / 100);
  }
  return [...overlaps.values()];
}

/** How far the mean over a scan is from what it should be; infinite where no windows of this size are as many. */
async function meanError(model: ImageModel, scan: ModelScan, row: FeatureRow, windows: Windows) {
  const overlaps = overlapsOf(scan.grid.size, windows.window, row.windows);
  let least = Number.POSITIVE_INFINITY;
  for (const overlap of overlaps.slice(0, MOST_OVERLAPS)) {
    const vectors = await windowVectors(model, scan, { ...windows, overlap }, 'features');
    least = Math.min(least, relativeRms(row.features, meanVector(vectors)));
  }
  return least;
}

/** How far windows of a scan are from what they should be. */
async function windowsError(
  model: ImageModel,
  scan: ModelScan,
  rows: readonly FeatureRow[],
  windows: Windows,
) {
  const some = spreadEvenly(rows.length, MOST_WINDOWS).map((i) => rows[i]!);
  const centres = some.map(({ centre }) => centre!);
  const vectors = await vectorsAround(model, scan, centres, windows, 'features');
  const flat = (each: readonly Float32Array[]) => each.flatMap((values) => [...values]);
  return relativeRms(flat(some.map(({ features }) => features)), flat(vectors.map(({ values }) => values)));
}

/** Windows that must be computed to check a row. */
const costOf = ({ centre, windows }: FeatureRow) => (centre === null ? windows : 1);

/**
 * Computes features of one of the scans again: up to eight windows of it, or where there is one row a scan, all of the scan with the fewest
 * windows.
 * @param where the file of the features
 * @param paths of scans by name; of those that cannot be read, another is taken
 * @returns whether there was a scan to compare
 * @throws UserError when features are those of another model, of other windows or of another scan
 */
export async function checkFeatures(
  model: ImageModel,
  windows: Windows,
  rows: readonly FeatureRow[],
  where: string,
  paths: ReadonlyMap<string, string>,
  note: (line: string) => void,
): Promise<boolean> {
  const known = rows.filter(({ source }) => paths.has(source)).toSorted((a, b) => costOf(a) - costOf(b));
  for (const name of new Set(known.map(({ source }) => source))) {
    const path = paths.get(name)!;
    let scan: ModelScan;
    try {
      scan = await readModelScan(path, model, () => {});
    } catch (error) {
      note(`note: the features are not compared with this scan: ${onOneLine(messageOf(error, path))}`);
      continue;
    }
    const own = known.filter(({ source }) => source === name);
    const mean = own.find(({ centre }) => centre === null);
    const error = await (mean
      ? meanError(model, scan, mean, windows)
      : windowsError(model, scan, own, windows));
    const { precision = 'float32' } = model.metadata;
    if (error <= Math.max(TOLERANCE, USUAL_ERROR[precision as Precision] ?? 0)) return true;
    const size = windows.window.join('×');
    throw new UserError('input', {
      ...{ what: 'these features were made with another model, of other windows or of other scans', where },
      got: Number.isFinite(error)
        ? `features of ${name} that differ by ${(100 * error).toPrecision(2)} % from those of windows of ${size} voxels`
        : `a mean over ${mean!.windows} windows of ${name}, which are not windows of ${size} voxels`,
      expected: `what ${model.path} computes of ${path} in windows of ${size} voxels, as queries will`,
      fix: 'give --window, --model and --input as `p2w embed` had them',
    });
  }
  return false;
}
