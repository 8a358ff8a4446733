import { mean, standardDeviation } from './statistics.js';

/** Distance of two means in standard deviations: (μ₊ − μ₋) / √((σ₊² + σ₋²) / 2). 0 where nothing differs. */
export function sensitivityIndex(positive: Float64Array, negative: Float64Array): number {
  const distance = mean(positive) - mean(negative);
  const spread = Math.hypot(standardDeviation(positive), standardDeviation(negative)) / Math.SQRT2;
  return distance === 0 ? 0 : distance / spread;
}

/** Share of the values in each of `bins` equal bins over [low, high]; the last bin includes `high`. */
export function histogramShares(
  values: Float64Array,
  [low, high]: readonly [low: number, high: number],
  bins: number,
): Float64Array {
  const shares = new Float64Array(bins);
  const scale = high > low ? bins / (high - low) : 0;
  for (const value of values) {
    const bin = Math.max(0, Math.min(bins - 1, Math.floor((value - low) * scale)));
    shares[bin]! += 1 / values.length;
  }
  return shares;
}

/** Smallest and largest value of several arrays. */
export function rangeOf(...arrays: Float64Array[]): readonly [low: number, high: number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const array of arrays) {
    for (const value of array) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return [low, high];
}

/**
 * Overlap coefficient Σ min(share₊, share₋) of two histograms over their common range: 1 alike, 0 apart.
 * It depends a little on the number of bins, so compare only values of the same number.
 */
export function overlapCoefficient(positive: Float64Array, negative: Float64Array, bins = 50): number {
  const range = rangeOf(positive, negative);
  const [a, b] = [histogramShares(positive, range, bins), histogramShares(negative, range, bins)];
  return a.reduce((sum, share, i) => sum + Math.min(share, b[i]!), 0);
}
