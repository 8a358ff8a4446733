import { expect, test } from 'vitest';
import { drawSampleSplit } from '../../../src/data/samples/split.js';

test('a split is drawn by patients, and hardly moves when one is added', () => {
  const patients = Array.from({ length: 100 }, (_, i) => `p${i}`);
  const shares = { validation: 0.1, test: 0.2 };
  const split = drawSampleSplit(patients, shares, 1);
  const count = (of: string) => [...split.values()].filter((s) => s === of).length;
  expect([count('train'), count('validation'), count('test')]).toEqual([70, 10, 20]);
  const more = drawSampleSplit([...patients, 'new'], shares, 1);
  expect(patients.filter((id) => more.get(id) !== split.get(id)).length).toBeLessThan(4);
});

test.each([
  [3, 0.5, 0.4, [1, 1, 1]],
  [4, 0.5, 0.4, [1, 1, 2]],
  [3, 0.01, 0, [2, 1, 0]],
  [5, 0.2, 0.8, [0, 1, 4]],
] as const)(
  'of %i patients, shares of %f and %f leave some for each purpose',
  (n, validation, test, counts) => {
    const patients = Array.from({ length: n }, (_, i) => `p${i}`);
    const split = [...drawSampleSplit(patients, { validation, test }, 1).values()];
    const count = (of: string) => split.filter((s) => s === of).length;
    expect([count('train'), count('validation'), count('test')]).toEqual(counts);
  },
);
