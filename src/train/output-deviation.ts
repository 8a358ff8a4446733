/** How much the outputs of a network differ between samples. */
import type { Ranks } from '../distributed/ranks.js';

/** Outputs that have come one by one, voxel by voxel. */
export interface OutputSpread {
  readonly samples: number;
  readonly means: Float64Array;
  /** Sums of the squares of differences from the means. */
  readonly squares: Float64Array;
  add(output: Float32Array): void;
}

/** @param voxels of an output */
export function outputSpread(voxels: number): OutputSpread {
  const [means, squares] = [new Float64Array(voxels), new Float64Array(voxels)];
  let samples = 0;
  return {
    means,
    squares,
    get samples() {
      return samples;
    },
    add(output) {
      samples++;
      for (let v = 0; v < voxels; v++) {
        const difference = output[v]! - means[v]!;
        means[v]! += difference / samples;
        squares[v]! += difference * (output[v]! - means[v]!);
      }
    },
  };
}

async function summed(ranks: Ranks, values: Float64Array): Promise<Float32Array> {
  const sums = Float32Array.from(values);
  await ranks.sum(sums);
  return sums;
}

/**
 * Standard deviation over the samples of all ranks of each voxel's output, averaged over voxels.
 * @returns undefined with fewer than two samples
 */
export async function outputDeviation(
  ranks: Ranks,
  { samples, means, squares }: OutputSpread,
): Promise<number | undefined> {
  const all = (await ranks.gather(samples)).reduce((sum, count) => sum + count, 0);
  if (all < 2) return undefined;
  const shares = means.map((mean) => (samples / all) * mean);
  const centres = await summed(ranks, shares);
  // About the common means, so that nothing cancels.
  const own = squares.map((sum, v) => sum + samples * (means[v]! - centres[v]!) ** 2);
  const variances = (await summed(ranks, own)).map((sum) => sum / all);
  return variances.reduce((sum, variance) => sum + Math.sqrt(variance), 0) / variances.length;
}
