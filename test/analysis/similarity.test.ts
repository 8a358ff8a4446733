import { describe, expect, it } from 'vitest';
import { cosineSeparation } from '../../src/analysis/cosine.js';
import { l2Normalise, type PartFeatures } from '../../src/analysis/features.js';
import { nearestNeighbourAccuracy, silhouette } from '../../src/analysis/neighbours.js';
import { histogramShares, overlapCoefficient, sensitivityIndex } from '../../src/analysis/separation.js';
import { UserError } from '../../src/errors.js';
import { clusters, constantWholes } from './features.js';

const of = (...values: number[]) => Float64Array.from(values);

describe('l2Normalise', () => {
  it('makes every row of length 1 and leaves rows of zeros and its input alone', () => {
    const values = Float32Array.from([3, 4, 0, 0, -2, 0, 1e-20, 0]);
    const unit = l2Normalise({ wholes: 2, partsPerWhole: 2, dimensions: 2, values });
    expect([...unit.values]).toEqual([0.6, 0.8, 0, 0, -1, 0, 1, 0]);
    expect(values[0]).toBe(3);
  });

  it.each([
    ['one whole', { wholes: 1, partsPerWhole: 4, dimensions: 1, values: new Float32Array(4) }],
    ['one part', { wholes: 4, partsPerWhole: 1, dimensions: 1, values: new Float32Array(4) }],
    ['a short array', { wholes: 2, partsPerWhole: 2, dimensions: 2, values: new Float32Array(7) }],
  ])('refuses %s', (_, features: PartFeatures) => {
    expect(() => l2Normalise(features)).toThrow(UserError);
  });

  it('names the part whose feature is not a number', () => {
    const features = clusters(2, 3, 4, 1);
    features.values[4 * 4 + 1] = Number.NaN;
    expect(() => l2Normalise(features)).toThrow(/part 4: .*not a number/);
  });
});

it('sensitivityIndex is the distance of the means in standard deviations', () => {
  // Means 4 and 1; variances 1 and 7: 3 / √4.
  const seven = of(1 - Math.sqrt(7), 1, 1 + Math.sqrt(7));
  expect(sensitivityIndex(of(3, 4, 5), seven)).toBeCloseTo(1.5, 12);
  expect(sensitivityIndex(of(1, 1), of(1, 1))).toBe(0);
});

describe('histograms', () => {
  it('share out all values, the largest in the last bin', () => {
    expect([...histogramShares(of(0, 0.5, 0.9, 1), [0, 1], 2)]).toEqual([0.25, 0.75]);
    expect([...histogramShares(of(2, 2), [2, 2], 3)]).toEqual([1, 0, 0]);
  });

  it('overlap is 0 apart, 1 alike, and the common share between', () => {
    expect(overlapCoefficient(of(0, 1), of(8, 9))).toBe(0);
    expect(overlapCoefficient(of(1, 2, 3), of(1, 2, 3))).toBeCloseTo(1, 12);
    expect(overlapCoefficient(of(0, 0, 10, 10), of(10, 10, 10, 10), 2)).toBeCloseTo(0.5, 12);
  });
});

describe('cosineSeparation', () => {
  it('pairs different parts of one whole, and parts of different wholes', () => {
    // Cosines: 0.6 within a whole, 0 across; a part with itself would be 1.
    const values = Float32Array.from([1, 0, 0, 0.6, 0.8, 0, 0, 0, 1, 0, 0, 1]);
    const features = { wholes: 2, partsPerWhole: 2, dimensions: 3, values };
    const found = cosineSeparation(features, { pairs: 40, seed: 2 });
    expect(found.positive).toHaveLength(80);
    for (const cosine of found.positive.subarray(0, 40)) expect(cosine).toBeCloseTo(0.6, 6);
    for (const cosine of found.negative) expect(cosine).toBe(0);
    expect(found).toMatchObject({ auc: 1, overlap: 0 });
  });

  it('of features without structure is near chance', () => {
    const { auc, dPrime, overlap } = cosineSeparation(clusters(30, 20, 16, 1e6), { pairs: 100, seed: 1 });
    expect(auc).toBeGreaterThan(0.47);
    expect(auc).toBeLessThan(0.53);
    expect(Math.abs(dPrime)).toBeLessThan(0.1);
    expect(overlap).toBeGreaterThan(0.9);
  });

  it('repeats for a seed', () => {
    const once = () => cosineSeparation(clusters(4, 3, 8, 1), { pairs: 10, seed: 9 });
    expect(once()).toEqual(once());
  });
});

describe('neighbours', () => {
  it('tight wholes are always found, equal features only by chance', () => {
    expect(nearestNeighbourAccuracy(clusters(6, 4, 16, 0.01))).toBe(1);
    expect(
      nearestNeighbourAccuracy(
        constantWholes(
          [
            [1, 0],
            [1, 0],
            [1, 0],
            [1, 0],
          ],
          5,
        ),
      ),
    ).toBe(0.25);
  });

  it('tells wholes apart whose features differ in the sixth digit only', () => {
    const features = clusters(40, 5, 16, 0.01);
    const nearlyEqual = features.values.map((value) => 1 + 3e-6 * value);
    expect(nearestNeighbourAccuracy({ ...features, values: nearlyEqual })).toBeGreaterThan(0.9);
  });

  it('agrees with a search over all parts', () => {
    const features = clusters(5, 4, 3, 1);
    const { values } = l2Normalise(features);
    const cosine = (a: number, b: number) =>
      [0, 1, 2].reduce((s, d) => s + values[3 * a + d]! * values[3 * b + d]!, 0);
    const rows = Array.from({ length: 20 }, (_, i) => i);
    const hits = rows.filter((a) => {
      const [nearest] = rows.filter((b) => b !== a).sort((b, c) => cosine(a, c) - cosine(a, b));
      return Math.floor(nearest! / 4) === Math.floor(a / 4);
    });
    expect(nearestNeighbourAccuracy(features)).toBe(hits.length / 20);
  });

  it('silhouette is (b − a) / max(a, b) of cosine distances', () => {
    // Whole 1 at 0° and 90°, whole 2 twice at 180°: by hand.
    const values = Float32Array.from([1, 0, 0, 1, -1, 0, -1, 0]);
    const scores = [(2 - 1) / 2, (1 - 1) / 1, (1.5 - 0) / 1.5, (1.5 - 0) / 1.5];
    const expected = scores.reduce((sum, s) => sum + s, 0) / 4;
    expect(silhouette({ wholes: 2, partsPerWhole: 2, dimensions: 2, values })).toBeCloseTo(expected, 6);
  });

  it('silhouette is 1 for points on right angles, 0 for one point', () => {
    expect(
      silhouette(
        constantWholes(
          [
            [1, 0],
            [0, 1],
          ],
          3,
        ),
      ),
    ).toBeCloseTo(1, 6);
    expect(
      silhouette(
        constantWholes(
          [
            [1, 0],
            [2, 0],
          ],
          3,
        ),
      ),
    ).toBeCloseTo(0, 6);
  });

  it('silhouette is 0 where features differ in nothing but length, whatever rounding makes of it', () => {
    for (const direction of [[0.3, 0.1, 0.7, 0.2], Array<number>(7).fill(1), [1e-3, 5]]) {
      const lengths = [1, 1.37, 1.74, 2.11].map(Math.fround);
      const values = Float32Array.from(
        lengths.flatMap((length) => direction.map((x) => Math.fround(x) * length)),
      );
      const found = silhouette({ wholes: 2, partsPerWhole: 2, dimensions: direction.length, values });
      expect(Math.abs(found)).toBeLessThan(1e-3);
    }
  });
});
