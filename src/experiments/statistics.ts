/** What trials say of the sources that they began from. */
import { grouped } from '../../graphs/onnx/grouped.js';
import { bootstrapIntervals, type Interval } from '../analysis/bootstrap.js';
import { holm, pairedTTest, welchTTest, wilcoxonSignedRank } from '../analysis/significance.js';
import { mean, standardDeviation } from '../analysis/statistics.js';
import type { Amount } from './schema.js';

/** A target, and how much of its training data is used. */
export function nameOf({ target, amount }: { readonly target: string; readonly amount: Amount }): string {
  if ('patients' in amount) return `${target}, ${amount.patients} training patients`;
  const percent = Number((100 * amount.fraction).toPrecision(6));
  return amount.fraction === 1 ? target : `${target}, ${percent} % of the training data`;
}

/** What tells targets and their amounts apart: names may be alike. */
export const keyOf = ({ target, amount }: { readonly target: string; readonly amount: Amount }): string =>
  JSON.stringify([target, amount]);

const RESAMPLES = 10_000;

/** Null for one value, which says nothing of others. */
function intervalOfMean(values: readonly number[]): Interval | null {
  if (values.length < 2) return null;
  const meanOf = (draws: Uint32Array) =>
    values.reduce((sum, value, i) => sum + value * draws[i]!, 0) / draws.reduce((n, d) => n + d, 0);
  const [interval] = bootstrapIntervals(values.length, (draws) => [meanOf(draws)], {
    resamples: RESAMPLES,
    seed: 1,
  });
  return interval ?? null;
}

/** The scores of one source on one target, seed by seed. */
export interface Group {
  readonly target: string;
  readonly amount: Amount;
  /** Training patients, the mean over the seeds. */
  readonly trainingPatients: number;
  readonly source: string;
  /** Measure that the values are of. */
  readonly metric: string;
  /** 0 … 1, in the order of the seeds. */
  readonly values: readonly number[];
  readonly mean: number;
  /** ddof 1; null for one value. */
  readonly deviation: number | null;
  /** 95 % bootstrap interval of the mean; null for one value. */
  readonly interval: Interval | null;
}

export const groupOf = (of: Omit<Group, 'mean' | 'deviation' | 'interval'>): Group => {
  const deviation = standardDeviation(of.values);
  return {
    ...of,
    mean: mean(of.values),
    deviation: Number.isNaN(deviation) ? null : deviation,
    interval: intervalOfMean(of.values),
  };
};

/** Two sources on one target; pairs have the same seed, and so the same samples. */
export interface Comparison {
  readonly target: string;
  readonly amount: Amount;
  readonly source: string;
  readonly against: string;
  /** Mean of source − against. */
  readonly difference: number;
  /** 95 % bootstrap interval of that mean; null for one pair. */
  readonly interval: Interval | null;
  /** Two-sided p; null where a test is not defined. */
  readonly paired: number | null;
  /** The paired t-test's p, corrected for all comparisons on this target with this amount (Holm). */
  readonly holm: number | null;
  readonly welch: number | null;
  readonly wilcoxon: number | null;
}

function compare(a: Group, b: Group): Omit<Comparison, 'holm'> {
  const differences = a.values.map((value, i) => value - b.values[i]!);
  return {
    target: a.target,
    amount: a.amount,
    source: a.source,
    against: b.source,
    difference: mean(differences),
    interval: intervalOfMean(differences),
    paired: pairedTTest(a.values, b.values)?.p ?? null,
    welch: welchTTest(a.values, b.values)?.p ?? null,
    wilcoxon: wilcoxonSignedRank(a.values, b.values)?.p ?? null,
  };
}

/** Every source against each one before it, for each target and amount. */
export function compareAll(groups: readonly Group[]): Comparison[] {
  return [...grouped(groups, keyOf).values()].flatMap((cell) => {
    const pairs = cell.flatMap((a, i) => cell.slice(0, i).map((b) => compare(a, b)));
    const defined = pairs.filter(({ paired }) => paired !== null);
    const corrected = holm(defined.map(({ paired }) => paired!));
    return pairs.map((pair) => {
      const at = defined.indexOf(pair);
      return { ...pair, holm: at < 0 ? null : corrected[at]! };
    });
  });
}
