import { describe, expect, it } from 'vitest';
import { principalComponents } from '../../src/analysis/embedding.js';
import { TSNE_STEPS, tsne } from '../../src/analysis/tsne.js';
import { randomStream } from '../../src/random.js';

type Rows = readonly (readonly number[])[];

/** Normal groups of deviation 1 round centres of deviation `spread`, along their principal axes. */
function groups(count: number, { points, axes, spread }: { points: number; axes: number; spread: number }) {
  const random = randomStream(1, 'blobs');
  const row = (deviation: number) => Array.from({ length: axes }, () => deviation * random.normal());
  const centres = Array.from({ length: count }, () => row(spread));
  const rows = Array.from({ length: points }, (_, i) => centres[i % count]!.map((c) => c + random.normal()));
  return principalComponents(rows);
}

const squared = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);

/** What t-SNE makes small, by its definition, with the affinities of all pairs. */
function divergence(points: Rows, map: Rows, perplexity: number): number {
  const n = points.length;
  const p = points.map(() => new Float64Array(n));
  for (let i = 0; i < n; i++) {
    const distances = points.map((point) => squared(point, points[i]!));
    const near = Math.min(...distances.filter((_, j) => j !== i));
    let [low, high, shares] = [0, 1e6, distances];
    for (let step = 0; step < 60; step++) {
      const precision = (low + high) / 2;
      const weights = distances.map((d, j) => (j === i ? 0 : Math.exp(-precision * (d - near))));
      const sum = weights.reduce((a, b) => a + b);
      shares = weights.map((weight) => weight / sum);
      const entropy = -shares.reduce((total, share) => total + (share > 0 ? share * Math.log(share) : 0), 0);
      [low, high] = entropy > Math.log(perplexity) ? [precision, high] : [low, precision];
    }
    for (const [j, share] of shares.entries()) {
      p[i]![j]! += share / (2 * n);
      p[j]![i]! += share / (2 * n);
    }
  }
  const weights = map.map((a, i) => map.map((b, j) => (i === j ? 0 : 1 / (1 + squared(a, b)))));
  const total = weights.flat().reduce((a, b) => a + b);
  let sum = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++)
      if (p[i]![j]! > 0) sum += p[i]![j]! * Math.log((p[i]![j]! * total) / weights[i]![j]!);
  return sum;
}

/** Of each point's `k` neighbours in the map: those that are strangers count by their rank (Venna & Kaski 2001); 1 is best. */
function trustworthiness(points: Rows, map: Rows, k: number): number {
  const n = points.length;
  const nearest = (rows: Rows, i: number) =>
    rows
      .map((row, j) => ({ j, d: squared(row, rows[i]!) }))
      .filter(({ j }) => j !== i)
      .sort((a, b) => a.d - b.d)
      .map(({ j }) => j);
  let strange = 0;
  for (let i = 0; i < n; i++) {
    const order = nearest(points, i);
    for (const j of nearest(map, i).slice(0, k)) strange += Math.max(0, order.indexOf(j) + 1 - k);
  }
  return 1 - (2 * strange) / (n * k * (2 * n - 3 * k - 1));
}

describe('t-SNE', () => {
  // Divergences that tsne.js, with all affinities and 500 steps, came to.
  it.each([
    { points: 39, axes: 12, spread: 3, count: 3, perplexity: 12, before: 0.0236 },
    { points: 90, axes: 12, spread: 3, count: 3, perplexity: 29, before: 0.0203 },
    { points: 300, axes: 10, spread: 2, count: 6, perplexity: 30, before: 0.3042 },
  ])('of $points points comes as near to their affinities as any', (options) => {
    const points = groups(options.count, options);
    const map = tsne(points);
    expect(divergence(points, map, options.perplexity)).toBeLessThan(1.02 * options.before);
  });

  it.each([
    { of: 'groups', count: 6, options: { points: 300, axes: 10, spread: 2 }, least: 0.95 },
    // Exaggeration draws all of these to one place.
    { of: 'points without groups', count: 1, options: { points: 480, axes: 50, spread: 0 }, least: 0.74 },
  ])('keeps neighbours of $of', ({ count, options, least }) => {
    const points = groups(count, options);
    const map = tsne(points);
    const flat = points.map((row) => row.slice(0, 2));
    expect(trustworthiness(points, map, 10)).toBeGreaterThan(least);
    expect(trustworthiness(points, map, 10)).toBeGreaterThan(trustworthiness(points, flat, 10));
  });

  it('gives the same map again, and tells every step', () => {
    const points = groups(3, { points: 30, axes: 4, spread: 3 });
    const steps: number[] = [];
    const map = tsne(points, (done) => steps.push(done));
    expect(tsne(points)).toEqual(map);
    expect(steps).toEqual(Array.from({ length: TSNE_STEPS }, (_, i) => i + 1));
  });

  it.each([
    ['equal', Array.from({ length: 12 }, () => [1, 2, 3])],
    ['of one axis', Array.from({ length: 12 }, (_, i) => [i])],
    ['in two places', Array.from({ length: 12 }, (_, i) => [i % 2, 1e9 * (i % 2)])],
    ['few', [[0], [1]]],
  ])('stays finite for points that are %s', (_, points) => {
    const map = tsne(points);
    expect(map).toHaveLength(points.length);
    expect(map.flat().every(Number.isFinite)).toBe(true);
  });
});
