import { UserError } from '../errors.js';
import { normalTails, regularisedIncompleteBeta } from './special.js';
import { mean, ROUNDING, standardDeviation } from './statistics.js';

/** A two-sided test. */
export interface TestResult {
  /** t, or for Wilcoxon's test the smaller of the two rank sums. */
  readonly statistic: number;
  /** Probability of a statistic at least as extreme if there were no difference. */
  readonly p: number;
}

/** A t-test. */
export interface TTestResult extends TestResult {
  readonly degreesOfFreedom: number;
}

/**
 * Student's t-test for pairs: two methods on the same seeds, folds or cases.
 * @returns null where it is not defined: fewer than 2 pairs, or differences that do not vary
 * @throws UserError when the lengths differ
 * @example
 * const test = pairedTTest([0.81, 0.79, 0.84], [0.78, 0.77, 0.8]);
 */
export function pairedTTest(a: ArrayLike<number>, b: ArrayLike<number>): TTestResult | null {
  const differences = differencesOf(a, b);
  const n = differences.length;
  const largest = Math.max(largestOf(a), largestOf(b));
  return tTest(mean(differences), standardDeviation(differences) / Math.sqrt(n), n - 1, largest);
}

/**
 * Welch's t-test: two independent samples whose variances may differ.
 * @returns null where it is not defined: fewer than 2 values on a side, or none that vary
 * @example
 * const test = welchTTest([0.81, 0.79, 0.84], [0.7, 0.74, 0.71, 0.69]);
 */
export function welchTTest(a: ArrayLike<number>, b: ArrayLike<number>): TTestResult | null {
  const [u, v] = [standardDeviation(a) ** 2 / a.length, standardDeviation(b) ** 2 / b.length];
  const degreesOfFreedom = (u + v) ** 2 / (u ** 2 / (a.length - 1) + v ** 2 / (b.length - 1));
  return tTest(mean(a) - mean(b), Math.sqrt(u + v), degreesOfFreedom, Math.max(largestOf(a), largestOf(b)));
}

const largestOf = (values: ArrayLike<number>) =>
  Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);

function tTest(
  difference: number,
  standardError: number,
  degreesOfFreedom: number,
  largest: number,
): TTestResult | null {
  if (!(standardError > ROUNDING * largest)) return null;
  const t = difference / standardError;
  const p = regularisedIncompleteBeta(
    degreesOfFreedom / (degreesOfFreedom + t * t),
    degreesOfFreedom / 2,
    0.5,
  );
  return { statistic: t, p, degreesOfFreedom };
}

/** Up to so many pairs Wilcoxon's distribution is computed exactly: a few milliseconds. */
const MOST_EXACT_PAIRS = 200;

/**
 * Wilcoxon's signed-rank test for pairs. Pairs without a difference are left out, equal differences share their mean
 * rank; what differs by rounding only is equal. p is exact, ties or not, up to 200 pairs, and from the normal approximation (corrected for ties, not for
 * continuity) above.
 * @returns null where it is not defined: no pair differs, or a value is not finite
 * @throws UserError when the lengths differ
 * @example
 * const test = wilcoxonSignedRank([0.81, 0.79, 0.84], [0.78, 0.77, 0.8]);
 */
export function wilcoxonSignedRank(a: ArrayLike<number>, b: ArrayLike<number>): TestResult | null {
  const all = differencesOf(a, b);
  if (!all.every(Number.isFinite)) return null;
  const rounding = ROUNDING * Math.max(largestOf(a), largestOf(b));
  const differences = all.filter((difference) => Math.abs(difference) > rounding);
  if (differences.length === 0) return null;
  // Twice the ranks, which are integers.
  const ranks = doubledRanks(differences.map(Math.abs), rounding);
  const total = ranks.reduce((sum, rank) => sum + rank, 0);
  const up = ranks.reduce((sum, rank, i) => sum + (differences[i]! > 0 ? rank : 0), 0);
  const smaller = Math.min(up, total - up);
  const exact = differences.length <= MOST_EXACT_PAIRS;
  return { statistic: smaller / 2, p: exact ? exactTails(ranks, smaller) : approximateTails(ranks, smaller) };
}

/** Twice the mean rank of each size among those that differ from it by no more than rounding. */
function doubledRanks(sizes: readonly number[], rounding: number): number[] {
  const order = [...sizes.keys()].sort((i, j) => sizes[i]! - sizes[j]!);
  const ranks = new Array<number>(sizes.length);
  for (let first = 0, last = 0; first < order.length; first = last) {
    while (last < order.length && sizes[order[last]!]! - sizes[order[first]!]! <= rounding) last++;
    for (const i of order.slice(first, last)) ranks[i] = first + last + 1;
  }
  return ranks;
}

/** P(S ≤ smaller) + P(S ≥ total − smaller), where S is a sum in which every rank is, or is not, at even odds. */
function exactTails(ranks: readonly number[], smaller: number): number {
  const probability = new Float64Array(smaller + 1);
  probability[0] = 1;
  for (const rank of ranks) {
    for (let sum = smaller; sum >= 0; sum--) {
      probability[sum] = (probability[sum]! + (sum >= rank ? probability[sum - rank]! : 0)) / 2;
    }
  }
  return Math.min(1, 2 * probability.reduce((a, b) => a + b, 0));
}

function approximateTails(ranks: readonly number[], smaller: number): number {
  // A rank that is in the sum at even odds has the mean r/2 and the variance r²/4; ties thus need no correction.
  const centre = ranks.reduce((sum, rank) => sum + rank / 2, 0);
  const variance = ranks.reduce((sum, rank) => sum + rank ** 2 / 4, 0);
  return normalTails((centre - smaller) / Math.sqrt(variance));
}

/**
 * Holm's correction for several tests.
 * @returns adjusted p-values in the same order: reject those at most α, and the chance of any false rejection is at
 *   most α
 * @example
 * holm([0.01, 0.04]); // [0.02, 0.04]
 */
export function holm(pValues: readonly number[]): number[] {
  const order = [...pValues.keys()].sort((a, b) => pValues[a]! - pValues[b]!);
  const adjusted: number[] = [];
  let highest = 0;
  order.forEach((test, i) => {
    highest = Math.max(highest, Math.min(1, (pValues.length - i) * pValues[test]!));
    adjusted[test] = highest;
  });
  return adjusted;
}

function differencesOf(a: ArrayLike<number>, b: ArrayLike<number>): number[] {
  if (a.length !== b.length)
    throw new UserError('usage', {
      what: 'a test of pairs needs pairs',
      got: `${a.length} and ${b.length} values`,
    });
  return Array.from(a, (value, i) => value - b[i]!);
}
