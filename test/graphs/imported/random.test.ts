import { expect, test } from 'vitest';
import { dropoutMask, normalNumbers, uniformNumbers } from '../../../graphs/imported/random.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { TYPE_CODES } from '../../../graphs/onnx/types.js';
import { runOnEach } from '../run.js';

const [ROWS, COLUMNS, RATIO] = [200, 300, 0.3];
const COUNT = ROWS * COLUMNS;

/** Masks of two layers for each of some seeds, as ones and zeros. */
async function masks(...seeds: number[]): Promise<Float32Array[]> {
  const g = new GraphBuilder('masks');
  const seed = g.input('seed', 'int64', []);
  for (const layer of [0, 1])
    g.output(
      `mask${layer}`,
      g.add('Cast', [dropoutMask(g, seed, layer, [ROWS, COLUMNS], RATIO)], { to: TYPE_CODES.float32 }),
    );
  const feeds = seeds.map((s) => ({
    seed: { type: 'int64', shape: [], data: BigInt64Array.of(BigInt(s)) } as const,
  }));
  const results = await runOnEach(g.build(), feeds);
  return results.flatMap(({ mask0, mask1 }) => [mask0!.data as Float32Array, mask1!.data as Float32Array]);
}

/** How alike two rows of ones and zeros are, whose mean is 1 − RATIO: 0 for independent ones. */
function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - 1 + RATIO) * (b[i]! - 1 + RATIO);
  return sum / (a.length * RATIO * (1 - RATIO));
}

const all = await masks(0, 1, 2, 2 ** 40);

test('as many values stay as the ratio says, in every layer and for every seed', () => {
  for (const mask of all) {
    const kept = mask.reduce((a, b) => a + b) / COUNT;
    // Five standard deviations of a binomial distribution.
    expect(Math.abs(kept - 1 + RATIO)).toBeLessThan(5 * Math.sqrt((RATIO * (1 - RATIO)) / COUNT));
  }
});

test('masks of other layers and seeds, rows and columns have nothing to do with one another', () => {
  const limit = (count: number) => 5 / Math.sqrt(count);
  for (const [i, a] of all.entries())
    for (const b of all.slice(i + 1)) expect(Math.abs(correlation(a, b))).toBeLessThan(limit(COUNT));
  for (const mask of all)
    for (const shift of [1, 2, COLUMNS, COLUMNS + 1, 2 * COLUMNS, 7 * COLUMNS])
      expect(Math.abs(correlation(mask.subarray(shift), mask.subarray(0, COUNT - shift)))).toBeLessThan(
        limit(COUNT - shift),
      );
});

test('the share that stays is as even over rows and columns as chance makes it', () => {
  const [mask] = all as [Float32Array];
  const shares = (length: number, at: (line: number, i: number) => number, lines: number) =>
    Array.from({ length: lines }, (_, line) => {
      let sum = 0;
      for (let i = 0; i < length; i++) sum += mask[at(line, i)]!;
      return sum / length;
    });
  const spread = (values: number[]) =>
    Math.sqrt(values.reduce((sum, v) => sum + (v - 1 + RATIO) ** 2, 0) / values.length);
  const byChance = (length: number) => Math.sqrt((RATIO * (1 - RATIO)) / length);
  const rows = spread(shares(COLUMNS, (r, i) => r * COLUMNS + i, ROWS)) / byChance(COLUMNS);
  const columns = spread(shares(ROWS, (c, i) => i * COLUMNS + c, COLUMNS)) / byChance(ROWS);
  for (const ratio of [rows, columns]) {
    expect(ratio).toBeGreaterThan(0.8);
    expect(ratio).toBeLessThan(1.2);
  }
});

test('numbers have the mean, the spread and the limits of their distribution', async () => {
  const g = new GraphBuilder('numbers');
  const seed = g.input('seed', 'int64', []);
  g.output('normal', normalNumbers(g, seed, 0, [ROWS, COLUMNS], { mean: 2, scale: 3 }));
  g.output('uniform', uniformNumbers(g, seed, 2, [ROWS, COLUMNS], { low: -1, high: 5 }));
  const [found] = await runOnEach(g.build(), [
    { seed: { type: 'int64', shape: [], data: BigInt64Array.of(7n) } },
  ]);
  const facts = (values: Float32Array, power: number, mean = 0) =>
    values.reduce((sum, v) => sum + (v - mean) ** power, 0) / COUNT;
  const [normal, uniform] = [found!.normal!.data as Float32Array, found!.uniform!.data as Float32Array];
  const limit = 5 / Math.sqrt(COUNT);
  expect(Math.abs(facts(normal, 1) - 2)).toBeLessThan(3 * limit);
  expect(Math.abs(facts(normal, 2, 2) / 9 - 1)).toBeLessThan(Math.SQRT2 * limit);
  // The kurtosis of a normal distribution is 3, and its own estimate spreads by √96.
  expect(Math.abs(facts(normal, 4, 2) / 81 - 3)).toBeLessThan(Math.sqrt(96) * limit);
  expect(Math.abs(facts(uniform, 1) - 2)).toBeLessThan(Math.sqrt(3) * limit);
  expect(Math.abs(facts(uniform, 2, 2) / 3 - 1)).toBeLessThan(limit);
  expect(Math.min(...uniform)).toBeGreaterThanOrEqual(-1);
  expect(Math.max(...uniform)).toBeLessThanOrEqual(5);
});
