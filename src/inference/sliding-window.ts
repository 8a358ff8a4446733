/** Values of a whole image from those of its windows, in memory for a slab of it. */
import type { XYZ } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import { memoryLimitBytes } from '../machine.js';
import { type WindowPlan, windowWeights } from './windows.js';

/** All values at one z of an image. */
export interface Plane {
  readonly z: number;
  /** [channels, H, W]; the next plane overwrites it. */
  readonly values: Float32Array;
}

/**
 * What a network makes of windows.
 * @param origins first voxels of the windows, which may lie outside of the image
 * @returns [N, channels, D, H, W], for at least as many windows as there are origins
 */
export type PredictWindows = (origins: readonly XYZ[]) => Promise<Float32Array>;

/** How an image is gone through. */
export interface SlidingOptions {
  readonly plan: WindowPlan;
  /** Values that the network has for each voxel. */
  readonly channels: number;
  /** Windows that are predicted at once. */
  readonly batch: number;
}

/** Sums of weighted values, and of weights, at the planes that windows still change: plane z lies in slot z mod depth. */
class Slab {
  readonly #sums: Float32Array;
  readonly #counts: Float32Array;
  readonly #weights: Float32Array;
  readonly #plane: number;

  constructor(
    readonly plan: WindowPlan,
    readonly channels: number,
  ) {
    this.#plane = plan.size[0] * plan.size[1];
    const voxels = this.#plane * plan.window[2];
    checkFits(plan, (channels + 1) * voxels);
    this.#sums = new Float32Array(channels * voxels);
    this.#counts = new Float32Array(voxels);
    this.#weights = windowWeights(plan.window);
  }

  /** Adds a window. @param values [channels, D, H, W] */
  add(origin: XYZ, values: Float32Array): void {
    const { size, window } = this.plan;
    const [w, h, d] = window;
    const [sums, counts, weights] = [this.#sums, this.#counts, this.#weights];
    const first = origin.map((start) => Math.max(0, -start)) as unknown as XYZ;
    const end = origin.map((start, i) => Math.min(window[i]!, size[i]! - start)) as unknown as XYZ;
    for (let k = first[2]; k < end[2]; k++) {
      const slot = (origin[2] + k) % d;
      for (let j = first[1]; j < end[1]; j++) {
        const from = w * (j + h * k);
        const to = slot * this.#plane + size[0] * (origin[1] + j) + origin[0];
        for (let i = first[0]; i < end[0]; i++) counts[to + i]! += weights[from + i]!;
        for (let c = 0; c < this.channels; c++) {
          const own = c * w * h * d + from;
          const sum = c * d * this.#plane + to;
          for (let i = first[0]; i < end[0]; i++) sums[sum + i]! += weights[from + i]! * values[own + i]!;
        }
      }
    }
  }

  /** Moves the means at z into a plane [channels, H, W], and makes room for z + depth. */
  take(z: number, into: Float32Array): void {
    const depth = this.plan.window[2];
    const start = (z % depth) * this.#plane;
    const counts = this.#counts.subarray(start, start + this.#plane);
    for (let c = 0; c < this.channels; c++) {
      const from = c * depth * this.#plane + start;
      const sums = this.#sums.subarray(from, from + this.#plane);
      for (let i = 0; i < this.#plane; i++) into[c * this.#plane + i] = sums[i]! / counts[i]!;
      sums.fill(0);
    }
    counts.fill(0);
  }
}

/** @throws UserError when a slab cannot be held */
function checkFits({ size, window }: WindowPlan, values: number): void {
  const bytes = values * Float32Array.BYTES_PER_ELEMENT;
  if (bytes <= memoryLimitBytes()) return;
  throw new UserError('input', {
    what: 'a slab of this scan, as deep as one window, does not fit in memory',
    got: `${(bytes / 1e9).toFixed(1)} GB for ${size[0]}×${size[1]}×${window[2]} voxels`,
    expected: `at most ${(memoryLimitBytes() / 1e9).toFixed(1)} GB`,
    fix: 'choose windows that are smaller along z: --window',
  });
}

/**
 * Predicts an image window by window, and yields its planes in the order of z, each as soon as no further window
 * changes it: the weighted mean of all windows that cover a voxel. Only as many planes as a window is deep are held.
 * @throws UserError when these do not fit in memory, and what `predict` throws
 * @example
 * for await (const { z, values } of slidingWindow({ plan, channels: 1, batch: 1 }, predict)) write(z, values);
 */
export async function* slidingWindow(
  { plan, channels, batch }: SlidingOptions,
  predict: PredictWindows,
): AsyncGenerator<Plane> {
  const { size, window, starts } = plan;
  const [xs, ys, zs] = starts;
  const slab = new Slab(plan, channels);
  const values = new Float32Array(channels * size[0] * size[1]);
  const length = channels * window[0] * window[1] * window[2];
  let next = 0;
  for (const [layer, z] of zs.entries()) {
    const origins = ys.flatMap((y) => xs.map((x): XYZ => [x, y, z]));
    for (let first = 0; first < origins.length; first += batch) {
      const some = origins.slice(first, first + batch);
      const predicted = await predict(some);
      for (const [n, origin] of some.entries())
        slab.add(origin, predicted.subarray(n * length, (n + 1) * length));
    }
    for (const end = zs[layer + 1] ?? size[2]; next < end; next++) {
      slab.take(next, values);
      yield { z: next, values };
    }
  }
}
