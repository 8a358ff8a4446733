import { expect, test } from 'vitest';
import { trialsChart } from '../../src/experiments/page.js';
import { groupOf } from '../../src/experiments/statistics.js';

test('a chart has room for the names of its sources, however long', () => {
  const group = (target: string, source: string) =>
    groupOf({
      ...{ target, source, amount: { fraction: 1 }, trainingPatients: 4, metric: 'auc' },
      values: [0.7, 0.8],
    });
  const long = 'Parts2Whole, 8,000 steps, a larger learning rate, on crops';
  const svg = trialsChart({ groups: [group('one', 'random'), group('two', long)] });
  const ends = [...svg.matchAll(/<text x="(\d+)"[^>]*text-anchor="end"[^>]*>([^<]*)</g)];
  expect(ends.map(([, , name]) => name)).toEqual(['random', long]);
  // A letter of 14 pixels is about 7 wide; the places of all targets are below each other.
  for (const [, x] of ends) expect(Number(x)).toBeGreaterThan(7 * long.length);
  const widths = [...svg.matchAll(/viewBox="0 0 (\d+) /g)].map(([, width]) => width);
  expect(new Set(widths).size).toBe(1);
});
