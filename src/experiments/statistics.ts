/** What trials say of the sources that they began from. */
import { bootstrapIntervals, type Interval } from '../analysis/bootstrap.js';
import { holm, pairedTTest, welchTTest, wilcoxonSignedRank } from '../analysis/significance.js';
import { mean, standardDeviation } from '../analysis/statistics.js';

/** The scores of one source on one target, seed by seed. */
export interface Group {
  readonly target: string;
  readonly fraction: number;
  readonly source: string;
  /** Measure that the values are of. */
  readonly metric: string;
  /** 0 … 1, in the order of the seeds. */
  readonly values: readonly number[];
  readonly mean: number;
  /** ddof 1; null for one value. */
  readonly deviation: number | null;
}

export const groupOf = (of: Omit<Group, 'mean' | 'deviation'>): Group => {
  const deviation = standardDeviation(of.values);
  return { ...of, mean: mean(of.values), deviation: Number.isNaN(deviation) ? null : deviation };
};

/** Two sources on one target; pairs have the same seed, and so the same samples. */
export interface Comparison {
  readonly target: string;
  readonly fraction: number;
  readonly source: string;
  readonly against: string;
  /** Mean of source − against. */
  readonly difference: number;
  /** 95 % bootstrap interval of that mean. */
  readonly interval: Interval | null;
  /** Two-sided p; null where a test is not defined. */
  readonly paired: number | null;
  /** The paired t-test's p, corrected for all comparisons on this target (Holm). */
  readonly holm: number | null;
  readonly welch: number | null;
  readonly wilcoxon: number | null;
}

const RESAMPLES = 10_000;

function compare(a: Group, b: Group): Omit<Comparison, 'holm'> {
  const differences = a.values.map((value, i) => value - b.values[i]!);
  const [interval] = bootstrapIntervals(
    differences.length,
    (draws) => [
      differences.reduce((sum, value, i) => sum + value * draws[i]!, 0) / draws.reduce((n, d) => n + d, 0),
    ],
    { resamples: RESAMPLES, seed: 1 },
  );
  return {
    target: a.target,
    fraction: a.fraction,
    source: a.source,
    against: b.source,
    difference: mean(differences),
    interval: interval ?? null,
    paired: pairedTTest(a.values, b.values)?.p ?? null,
    welch: welchTTest(a.values, b.values)?.p ?? null,
    wilcoxon: wilcoxonSignedRank(a.values, b.values)?.p ?? null,
  };
}

/** Every source against each one before it, target by target. */
export function compareAll(groups: readonly Group[]): Comparison[] {
  const cells = new Map<string, Group[]>();
  for (const group of groups) {
    const key = `${group.target} ${group.fraction}`;
    cells.set(key, [...(cells.get(key) ?? []), group]);
  }
  return [...cells.values()].flatMap((cell) => {
    const pairs = cell.flatMap((a, i) => cell.slice(0, i).map((b) => compare(a, b)));
    const defined = pairs.filter(({ paired }) => paired !== null);
    const corrected = holm(defined.map(({ paired }) => paired!));
    return pairs.map((pair) => {
      const at = defined.indexOf(pair);
      return { ...pair, holm: at < 0 ? null : corrected[at]! };
    });
  });
}
