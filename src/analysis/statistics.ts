import { UserError } from '../errors.js';
import { regularisedIncompleteBeta } from './special.js';

/** Of the values: what varies less does so by rounding. */
export const ROUNDING = 1e-12;

/**
 * Arithmetic mean; NaN for no values.
 * @example
 * mean([1, 2, 6]); // 3
 */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}

/**
 * Sample standard deviation (ddof 1); NaN for fewer than two values.
 * @example
 * standardDeviation([2, 4]); // 1.41
 */
export function standardDeviation(values: ArrayLike<number>): number {
  const centre = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i]! - centre) ** 2;
  return values.length < 2 ? Number.NaN : Math.sqrt(sum / (values.length - 1));
}

/**
 * The value below which a fraction `q` in [0, 1] lies, interpolated between neighbours (Hyndman and Fan's
 * type 7, as NumPy and R do by default); NaN for no values.
 * @example
 * quantile([1, 2, 3, 4], 0.5); // 2.5
 */
export function quantile(values: ArrayLike<number>, q: number): number {
  const sorted = Float64Array.from(values).sort();
  const position = q * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below] ?? Number.NaN;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? Number.NaN;
  return low + (high - low) * (position - below);
}

export interface Correlation {
  /** Pearson's product-moment coefficient, −1 … 1. */
  readonly r: number;
  /** Number of pairs. */
  readonly n: number;
  /** Probability of a coefficient at least as far from 0 if x and y were independent normals (two-sided). */
  readonly p: number;
}

/**
 * Pearson's correlation with its t-test: t = r √(ν/(1−r²)) with ν = n − 2 degrees of freedom, whose
 * two-sided tail is I(ν/(ν+t²); ν/2, ½), and ν/(ν+t²) is 1 − r².
 * @returns null where it is not defined: fewer than 3 pairs, a side that does not vary, a value that is not finite
 * @throws UserError when the lengths differ
 * @example
 * pearson([1, 2, 3], [2, 4, 7])?.r; // 0.99
 */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): Correlation | null {
  const n = x.length;
  if (y.length !== n) {
    throw new UserError('usage', { what: 'a correlation needs pairs', got: `${n} and ${y.length} values` });
  }
  const [meanX, meanY] = [mean(x), mean(y)];
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [dx, dy] = [x[i]! - meanX, y[i]! - meanY];
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  }
  const r = Math.max(-1, Math.min(1, xy / Math.sqrt(xx) / Math.sqrt(yy)));
  const varies = (squares: number, middle: number) => Math.sqrt(squares / n) > ROUNDING * Math.abs(middle);
  if (n < 3 || !Number.isFinite(r) || !varies(xx, meanX) || !varies(yy, meanY)) return null;
  return { r, n, p: regularisedIncompleteBeta(1 - r * r, (n - 2) / 2, 0.5) };
}
