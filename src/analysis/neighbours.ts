import { dot, l2Normalise, type PartFeatures } from './features.js';
import { ROUNDING } from './statistics.js';

/**
 * Share of parts whose most similar other part, by cosine, comes from the same whole (leave-one-out).
 * Of equally similar parts the first counts, so features that are all equal score chance, 1 / wholes.
 * @returns 0 … 1
 * @throws UserError when the features cannot be compared
 * @example
 * const values = Float32Array.of(1, 0, 0.9, 0.1, 0, 1, 0.1, 0.9);
 * nearestNeighbourAccuracy({ wholes: 2, partsPerWhole: 2, dimensions: 2, values }); // 1
 */
export function nearestNeighbourAccuracy(features: PartFeatures): number {
  const { wholes, partsPerWhole, dimensions, values } = l2Normalise(features);
  const rows = wholes * partsPerWhole;
  const best = new Float64Array(rows).fill(Number.NEGATIVE_INFINITY);
  const nearest = new Uint32Array(rows);
  for (let a = 0; a < rows; a++) {
    for (let b = a + 1; b < rows; b++) {
      const cosine = dot(values, a * dimensions, values, b * dimensions, dimensions);
      if (cosine > best[a]!) {
        best[a] = cosine;
        nearest[a] = b;
      }
      if (cosine > best[b]!) {
        best[b] = cosine;
        nearest[b] = a;
      }
    }
  }
  const wholeOf = (row: number) => Math.floor(row / partsPerWhole);
  return nearest.reduce((hits, other, row) => hits + (wholeOf(other) === wholeOf(row) ? 1 : 0), 0) / rows;
}

/**
 * Mean silhouette (b − a) / max(a, b) over all parts, with the cosine distance 1 − cos: a is the mean
 * distance to the other parts of the same whole, b to the parts of the nearest other whole
 * (Rousseeuw 1987). −1 … 1; 0 where wholes touch.
 * @throws UserError when the features cannot be compared
 * @example
 * const values = Float32Array.of(1, 0, 1, 0, 0, 1, 0, 1);
 * silhouette({ wholes: 2, partsPerWhole: 2, dimensions: 2, values }); // 1
 */
export function silhouette(features: PartFeatures): number {
  const { wholes, partsPerWhole, dimensions, values } = l2Normalise(features);
  // The mean cosine with a whole's parts is the dot product with the mean of their unit vectors.
  const sums = new Float64Array(wholes * dimensions);
  values.forEach((value, i) => {
    const whole = Math.floor(i / (dimensions * partsPerWhole));
    sums[whole * dimensions + (i % dimensions)]! += value;
  });
  let total = 0;
  for (let row = 0; row < wholes * partsPerWhole; row++) {
    const start = row * dimensions;
    const own = Math.floor(row / partsPerWhole);
    let [a, b] = [0, Number.POSITIVE_INFINITY];
    for (let whole = 0; whole < wholes; whole++) {
      const cosines = dot(values, start, sums, whole * dimensions, dimensions);
      if (whole !== own) b = Math.min(b, 1 - cosines / partsPerWhole);
      else a = 1 - (cosines - dot(values, start, values, start, dimensions)) / (partsPerWhole - 1);
    }
    // Features of one direction are at distances of nothing but rounding, some of them below 0.
    const larger = Math.max(a, b);
    total += larger > ROUNDING ? (Math.max(b, 0) - Math.max(a, 0)) / larger : 0;
  }
  return total / (wholes * partsPerWhole);
}
