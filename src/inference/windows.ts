/** Where the windows of a scan lie, and how much each of their voxels counts: the rules of MONAI's `sliding_window_inference`. */
import type { XYZ } from '../data/scan/volume.js';
import { UserError } from '../errors.js';

/** Windows of one size that cover an image. */
export interface WindowPlan {
  /** Voxels of the image along x, y, z. */
  readonly size: XYZ;
  /** Voxels of a window. */
  readonly window: XYZ;
  /** First voxels of windows along x, y and z, ascending; below 0 where the image is smaller than a window and lies in its middle. */
  readonly starts: readonly [readonly number[], readonly number[], readonly number[]];
}

/** @throws UserError unless windows that overlap so much still move on */
export function checkOverlap(overlap: number): void {
  if (overlap >= 0 && overlap < 1) return;
  throw new UserError('usage', {
    what: 'this is not a share of a window',
    where: '--overlap',
    got: String(overlap),
    expected: 'at least 0 and below 1, such as 0.5',
  });
}

/** Every window begins an interval after the one before; the last is moved back to end where the image ends. */
function startsAlong(size: number, window: number, overlap: number): number[] {
  if (size <= window) return [-Math.floor((window - size) / 2)];
  const interval = Math.max(1, Math.floor(window * (1 - overlap)));
  const count = Math.ceil((size - window) / interval) + 1;
  return Array.from({ length: count }, (_, i) => Math.min(i * interval, size - window));
}

/**
 * Covers an image with windows.
 * @param overlap share of a window that the next one covers again, at least 0 and below 1
 * @example
 * const { starts } = planWindows([512, 512, 134], [64, 64, 32], 0.5);
 */
export function planWindows(size: XYZ, window: XYZ, overlap: number): WindowPlan {
  const along = (axis: 0 | 1 | 2) => startsAlong(size[axis], window[axis], overlap);
  return { size, window, starts: [along(0), along(1), along(2)] };
}

/** How many windows there are. */
export const windowCount = ({ starts: [x, y, z] }: WindowPlan): number => x.length * y.length * z.length;

/** Standard deviation of the weights, as a share of a window's side. */
const SIGMA = 0.125;
const LEAST_WEIGHT = 1e-3;

/** How much each voxel of a window counts where windows overlap, [D, H, W]: a Gaussian around its middle, never below 0.001. */
export function windowWeights([w, h, d]: XYZ): Float32Array {
  const [x, y, z] = [w, h, d].map((length) =>
    Float32Array.from({ length }, (_, i) =>
      Math.exp(-((i - (length - 1) / 2) ** 2) / (2 * (SIGMA * length) ** 2)),
    ),
  ) as [Float32Array, Float32Array, Float32Array];
  const weights = new Float32Array(w * h * d);
  for (let k = 0, at = 0; k < d; k++)
    for (let j = 0; j < h; j++)
      for (let i = 0; i < w; i++, at++) weights[at] = Math.max(x[i]! * y[j]! * z[k]!, LEAST_WEIGHT);
  return weights;
}
