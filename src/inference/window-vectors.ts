/** Vectors that a model has for windows of a scan: features, or probabilities of classes. */
import { type CropGrid, cropAround, middleOf } from '../data/scan/crop.js';
import { voxelToWorld, worldToVoxel } from '../data/scan/geometry.js';
import type { XYZ } from '../data/scan/volume.js';
import { checkFinite } from './finite.js';
import type { ImageModel } from './image-model.js';
import type { ModelScan } from './model-scan.js';
import type { Windows } from './predict-scan.js';
import { partOfGrid } from './scan-grid.js';
import { windowRunner } from './window-runner.js';
import { planWindows } from './windows.js';

export interface WindowVector {
  /** First voxel of the window, x, y, z, in voxels of the scan with its axes along left, posterior, superior; rounded where the scan is resampled. */
  readonly offset: XYZ;
  /** Middle of the window in LPS mm. */
  readonly centre: XYZ;
  readonly values: Float32Array;
}

/** Runs a model on windows of a scan. @param output its name; [N,C] @throws UserError when it gives values that are not finite */
async function vectorsOf(
  model: Pick<ImageModel, 'channels' | 'run' | 'path'>,
  { volume, read }: Pick<ModelScan, 'volume' | 'read'>,
  grids: readonly CropGrid[],
  windows: Windows,
  output: string,
  onWindows?: (done: number, total: number) => void,
): Promise<WindowVector[]> {
  const run = windowRunner(model, read, windows);
  const vectors: WindowVector[] = [];
  for (let first = 0; first < grids.length; first += windows.batch) {
    const some = grids.slice(first, first + windows.batch);
    const { data, shape } = (await run(some))[output]!;
    const length = shape[1]!;
    for (const [n, grid] of some.entries()) {
      const values = (data as Float32Array).slice(n * length, (n + 1) * length);
      checkFinite(values, output, model.path);
      const middle = grid.first.map((place, i) => place + ((grid.size[i]! - 1) / 2) * grid.step[i]!);
      vectors.push({
        offset: grid.first.map(Math.round) as unknown as XYZ,
        centre: voxelToWorld(volume, middle as unknown as XYZ),
        values,
      });
    }
    onWindows?.(vectors.length, grids.length);
  }
  return vectors;
}

/** A vector for each window of a scan, x fastest. */
export function windowVectors(
  model: Pick<ImageModel, 'channels' | 'run' | 'path'>,
  scan: Pick<ModelScan, 'volume' | 'grid' | 'read'>,
  windows: Windows,
  output: string,
  onWindows?: (done: number, total: number) => void,
): Promise<WindowVector[]> {
  const { window, overlap } = windows;
  const [xs, ys, zs] = planWindows(scan.grid.size, window, overlap).starts;
  const origins = zs.flatMap((z) => ys.flatMap((y) => xs.map((x): XYZ => [x, y, z])));
  const grids = origins.map((origin) => partOfGrid(scan.grid, origin, window));
  return vectorsOf(model, scan, grids, windows, output, onWindows);
}

/**
 * The vectors of windows around places, on the voxels that the model sees.
 * @param centres middles of windows in LPS mm, as {@link windowVectors} gives them
 */
export function vectorsAround(
  model: Pick<ImageModel, 'channels' | 'run' | 'path'>,
  scan: Pick<ModelScan, 'volume' | 'grid' | 'read'>,
  centres: readonly XYZ[],
  windows: Windows,
  output: string,
): Promise<WindowVector[]> {
  const { first, step } = scan.grid;
  const grids = centres.map((centre) => {
    const origin = worldToVoxel(scan.volume, centre).map((at, i) =>
      Math.round((at - first[i]!) / step[i]! - (windows.window[i]! - 1) / 2),
    ) as unknown as XYZ;
    return partOfGrid(scan.grid, origin, windows.window);
  });
  return vectorsOf(model, scan, grids, windows, output);
}

/** The vector of the one window in the middle of a scan, which is cut as samples of target tasks are. */
export async function middleVector(
  model: ImageModel,
  scan: ModelScan,
  windows: Windows,
  output: string,
): Promise<WindowVector> {
  const { volume, grid } = scan;
  const spacing = volume.spacing.map((mm, i) => mm * grid.step[i]!) as unknown as XYZ;
  const middle = cropAround(volume, middleOf(volume), windows.window, spacing);
  const [vector] = await vectorsOf(model, scan, [middle], { ...windows, batch: 1 }, output);
  return vector!;
}

/** The mean of vectors, of which there is at least one. */
export function meanVector(vectors: readonly Pick<WindowVector, 'values'>[]): Float32Array {
  const sums = new Float64Array(vectors[0]!.values.length);
  for (const { values } of vectors) for (let c = 0; c < sums.length; c++) sums[c]! += values[c]!;
  return new Float32Array(sums.map((sum) => sum / vectors.length));
}
