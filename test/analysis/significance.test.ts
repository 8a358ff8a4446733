import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bootstrapIntervals } from '../../src/analysis/bootstrap.js';
import {
  holm,
  pairedTTest,
  type TestResult,
  welchTTest,
  wilcoxonSignedRank,
} from '../../src/analysis/significance.js';
import { normalTails } from '../../src/analysis/special.js';
import { mean } from '../../src/analysis/statistics.js';
import { UserError } from '../../src/errors.js';
import { randomStream } from '../../src/random.js';
import { golden } from './golden.js';

const { cases, exact, holm: corrected, normalTails: tails } = golden.statistics;

function expectTest(found: TestResult | null, [statistic, p]: readonly [number, number, number?]): void {
  expect(found!.statistic).toBeCloseTo(statistic, 9);
  expect(found!.p / p).toBeCloseTo(1, 9);
}

describe.each(cases.map((sample, i) => ({ ...sample, i })))('sample $i', ({ a, b, ...sample }) => {
  it('Welch’s test agrees with SciPy', () => {
    const found = welchTTest(a, b);
    expectTest(found, sample.welch);
    expect(found!.degreesOfFreedom).toBeCloseTo(sample.welch[2], 9);
  });

  it.runIf(sample.paired)('tests of pairs agree with SciPy', () => {
    const found = pairedTTest(a, b);
    expectTest(found, sample.paired!);
    expect(found!.degreesOfFreedom).toBe(sample.paired![2]);
    expectTest(wilcoxonSignedRank(...sample.whole!), sample.wilcoxon!);
  });
});

describe('wilcoxonSignedRank', () => {
  it('agrees with SciPy’s exact distribution', () => {
    const { differences, wilcoxon } = exact;
    expectTest(wilcoxonSignedRank(differences, new Float64Array(differences.length)), wilcoxon);
  });

  it('is exact with ties: the share of all signs that are at least as one-sided', () => {
    const sizes = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(sizes, (differences) => {
        const found = wilcoxonSignedRank(
          differences,
          differences.map(() => 0),
        );
        const used = differences.filter((d) => d !== 0);
        fc.pre(used.length > 0);
        const rank = (d: number) =>
          used.filter((e) => Math.abs(e) < Math.abs(d)).length +
          (used.filter((e) => Math.abs(e) === Math.abs(d)).length + 1) / 2;
        const ranks = used.map(rank);
        const total = ranks.reduce((x, y) => x + y, 0);
        const sums = Array.from({ length: 2 ** used.length }, (_, signs) =>
          ranks.reduce((sum, r, i) => sum + ((signs >> i) & 1) * r, 0),
        );
        const extreme = sums.filter((sum) => Math.min(sum, total - sum) <= found!.statistic).length;
        expect(found!.p).toBeCloseTo(extreme / sums.length, 12);
      }),
    );
  });
});

describe('tests', () => {
  it('are null where they are not defined', () => {
    expect(pairedTTest([1], [2])).toBeNull();
    expect(pairedTTest([1, 2], [2, 3])).toBeNull();
    // Of equal differences, whose digits are rounded.
    expect(pairedTTest([0.5, 0.6], [0.45, 0.55])).toBeNull();
    expect(pairedTTest([0.2, 0.3, 0.4], [0.1, 0.2, 0.3])).toBeNull();
    expect(welchTTest([1, 1], [2, 2])).toBeNull();
    expect(welchTTest([1, 2], [2])).toBeNull();
    expect(wilcoxonSignedRank([1, Number.NaN], [2, 2])).toBeNull();
  });

  it('take differences that rounding makes unequal for equal', () => {
    const [a, b] = [
      [1, 3, 2, 2, 1, 7],
      [3, 2, 3, 3, 2, 7],
    ];
    const tenths = (values: number[]) => values.map((value) => value / 10);
    expect(wilcoxonSignedRank(tenths(a!), tenths(b!))).toEqual(wilcoxonSignedRank(a!, b!));
    expect(wilcoxonSignedRank(a!, b!)).toMatchObject({ statistic: 2.5, p: 0.3125 });
    expect(wilcoxonSignedRank([0.1 + 0.2], [0.3])).toBeNull();
  });

  it('of pairs refuse sides of different lengths', () => {
    expect(() => pairedTTest([1, 2, 3], [1, 2])).toThrow(UserError);
    expect(() => wilcoxonSignedRank([1], [1, 2])).toThrow(UserError);
  });
});

describe('holm', () => {
  it('agrees with statsmodels', () => {
    holm(corrected.p).forEach((p, i) => {
      expect(p).toBeCloseTo(corrected.adjusted[i]!, 12);
    });
    expect(holm([])).toEqual([]);
  });

  it('never makes a p-value smaller, never larger than Bonferroni’s, and keeps their order', () => {
    const pValues = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(pValues, (given) => {
        const adjusted = holm(given);
        given.forEach((p, i) => {
          expect(adjusted[i]).toBeGreaterThanOrEqual(p);
          expect(adjusted[i]).toBeLessThanOrEqual(Math.min(1, p * given.length));
          given.forEach((q, j) => {
            if (p < q) expect(adjusted[i]).toBeLessThanOrEqual(adjusted[j]!);
          });
        });
      }),
    );
  });
});

it('normalTails agrees with SciPy', () => {
  tails.z.forEach((z, i) => {
    expect(normalTails(z) / tails.p[i]!, `z = ${z}`).toBeCloseTo(1, 11);
  });
});

describe('bootstrapIntervals', () => {
  const random = randomStream(3, 'sample');
  const values = Array.from({ length: 200 }, () => random.normal());
  const meanOf = (draws: Uint32Array) => [
    values.reduce((sum, value, i) => sum + draws[i]! * value, 0) / values.length,
  ];

  it('of a mean is about ±1.96 standard errors', () => {
    const [interval] = bootstrapIntervals(200, meanOf, { resamples: 4000, seed: 1 });
    const centre = mean(values);
    const error = Math.sqrt(values.reduce((sum, v) => sum + (v - centre) ** 2, 0) / 200 / 200);
    for (const side of [centre - interval![0], interval![1] - centre])
      expect(Math.abs(side / error - 1.96)).toBeLessThan(0.12);
    const [narrow] = bootstrapIntervals(200, meanOf, { resamples: 4000, seed: 1, confidence: 0.5 });
    expect((narrow![1] - narrow![0]) / (2 * error)).toBeCloseTo(0.674, 1);
  });

  it('draws as many units as there are, and the same for a seed', () => {
    const totals = new Set<number>();
    const once = (seed: number) =>
      bootstrapIntervals(
        7,
        (draws) => {
          totals.add(draws.reduce((x, y) => x + y, 0));
          return [draws[0]!];
        },
        { resamples: 50, seed },
      );
    expect(once(1)).toEqual(once(1));
    expect([...totals].filter((total) => total > 0)).toEqual([7]);
  });

  it('is null where the statistic is mostly not defined, or nothing is drawn', () => {
    const never = () => [Number.NaN, 1];
    expect(bootstrapIntervals(5, never, { resamples: 20, seed: 1 })).toEqual([null, [1, 1]]);
    expect(bootstrapIntervals(5, never, { resamples: 0, seed: 1 })).toEqual([null, null]);
  });
});
