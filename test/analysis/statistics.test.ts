import { describe, expect, it } from 'vitest';
import { logGamma, regularisedIncompleteBeta } from '../../src/analysis/special.js';
import { mean, pearson, quantile, standardDeviation } from '../../src/analysis/statistics.js';
import { UserError } from '../../src/errors.js';

// Expected numbers: SciPy 1.17.1 (stats.pearsonr, special.betainc, special.gammaln) and NumPy.
describe('pearson', () => {
  it('is not defined where one side does not vary, however its sum is rounded', () => {
    expect(pearson(Array(6).fill(0.1), Array(6).fill(0.2))).toBeNull();
    expect(pearson([1, 2, 3, 4], Array(4).fill(0.3))).toBeNull();
  });

  it.each([
    [
      [0.106, 0.061, 0.041, 0.033, 0.028, 0.025, 0.0215, 0.0203],
      [7.6, 7.41, 7.35, 7.31, 7.26, 7.27, 7.24, 7.23],
      0.9946792772858317,
      3.75074209301248e-7,
    ],
    [[1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8, 0.10408803866182782],
    [[1, 2, 3, 4, 5, 6], [3, 1, 4, 1, 5, 9], 0.6961696279091429, 0.12444561188824625],
    [[1, 2, 3], [3, 1, 2], -0.5, 2 / 3],
  ])('agrees with SciPy for %j and %j', (x, y, r, p) => {
    const found = pearson(x, y)!;
    expect(found.r).toBeCloseTo(r, 13);
    expect(found.p / p).toBeCloseTo(1, 9);
    expect(found.n).toBe(x.length);
  });

  it('keeps small p for many pairs', () => {
    const x = Array.from({ length: 30 }, (_, i) => i);
    const found = pearson(x, x.map(Math.sin))!;
    expect(found.r).toBeCloseTo(-0.04915972697574538, 13);
    expect(found.p).toBeCloseTo(0.7964273483784264, 11);
  });

  it('is certain of exactly proportional values', () => {
    expect(pearson([1, 2, 4], [10, 20, 40])).toEqual({ r: 1, n: 3, p: 0 });
    expect(pearson([1, 2, 4], [-1, -2, -4])!.r).toBe(-1);
  });

  it('is null where it is not defined', () => {
    expect(pearson([1, 2], [3, 4])).toBeNull();
    expect(pearson([], [])).toBeNull();
    expect(pearson([1, 1, 1], [1, 2, 3])).toBeNull();
    expect(pearson([1, 2, Number.NaN], [1, 2, 3])).toBeNull();
  });

  it('refuses sides of different lengths', () => {
    expect(() => pearson([1, 2, 3], [1, 2])).toThrow(UserError);
  });
});

describe('regularisedIncompleteBeta', () => {
  it.each([
    [0.3, 2.5, 0.5, 0.018927124071945658],
    [0.9, 12, 0.5, 0.11552285426683222],
    [0.01, 0.5, 0.5, 0.06376856085851985],
    [0.5, 100, 120, 0.9117960627949818],
    [1e-6, 14, 0.5, 1.4944605052878392e-85],
  ])('I(%d; %d, %d)', (x, a, b, expected) => {
    expect(regularisedIncompleteBeta(x, a, b) / expected).toBeCloseTo(1, 11);
  });

  it('is 0 and 1 at the ends', () => {
    expect(regularisedIncompleteBeta(0, 3, 0.5)).toBe(0);
    expect(regularisedIncompleteBeta(1, 3, 0.5)).toBe(1);
  });
});

it('logGamma agrees with SciPy', () => {
  const expected = { 0.5: 0.5723649429247, 1: 0, 4.5: 2.4537365708424423, 100: 359.1342053695754 };
  for (const [x, value] of Object.entries(expected)) expect(logGamma(Number(x))).toBeCloseTo(value, 11);
});

describe('summaries', () => {
  const values = [3, 1, 4, 1, 5, 9, 2, 6];

  it('mean and sample standard deviation', () => {
    expect(mean(values)).toBe(3.875);
    expect(standardDeviation(values)).toBeCloseTo(2.748376143938713, 14);
    expect(standardDeviation([5])).toBeNaN();
    expect(mean([])).toBeNaN();
  });

  it('quantiles interpolate as NumPy does, and leave the values in their order', () => {
    const found = [0, 0.1, 0.5, 0.77, 1].map((q) => quantile(values, q));
    [1, 1, 3.5, 5.39, 9].forEach((q, i) => {
      expect(found[i]).toBeCloseTo(q, 12);
    });
    expect(values[0]).toBe(3);
    expect(quantile([], 0.5)).toBeNaN();
  });
});
