import { expect, test } from 'vitest';
import { compareAll, groupOf } from '../../src/experiments/statistics.js';

const group = (target: string, patients: number, source: string, values: readonly number[]) =>
  groupOf({ target, amount: { patients }, trainingPatients: patients, source, metric: 'auc', values });

/** Three sources in a cell; p of the paired t-tests from SciPy 1.17, `ttest_rel`, and Holm's correction of them by hand. */
const random = [0.7, 0.72, 0.69, 0.75, 0.71];
const second = [0.74, 0.75, 0.74, 0.77, 0.76];
const third = [0.71, 0.74, 0.68, 0.77, 0.73];
const EXPECTED = {
  'second − random': { paired: 0.00286221, holm: 0.00858664 },
  'third − second': { paired: 0.06498591, holm: 0.12997182 },
  // Twice the former: corrected values never fall.
  'third − random': { paired: 0.10870095, holm: 0.12997182 },
};

test('all pairs of sources are compared, and corrected for those of one target and amount alone', () => {
  const cell = (target: string, patients: number) => [
    group(target, patients, 'random', random),
    group(target, patients, 'second', second),
    group(target, patients, 'third', third),
  ];
  const comparisons = compareAll([...cell('a', 8), ...cell('a', 16), ...cell('b', 8)]);
  expect(
    comparisons.map(({ target, amount }) => `${target} ${'patients' in amount && amount.patients}`),
  ).toEqual([...Array(3).fill('a 8'), ...Array(3).fill('a 16'), ...Array(3).fill('b 8')]);
  const own = comparisons.slice(0, 3);
  const byName = new Map(own.map((one) => [`${one.source} − ${one.against}`, one]));
  for (const [name, { paired, holm }] of Object.entries(EXPECTED)) {
    expect(byName.get(name)!.paired).toBeCloseTo(paired, 7);
    expect(byName.get(name)!.holm).toBeCloseTo(holm, 7);
  }
  expect(byName.get('second − random')!.difference).toBeCloseTo(0.038, 12);
});

test('pairs without a test do not count in the correction', () => {
  const comparisons = compareAll([
    group('a', 8, 'random', random),
    group('a', 8, 'the same', random),
    group('a', 8, 'second', second),
  ]);
  const same = comparisons.find(({ source }) => source === 'the same')!;
  expect(same).toMatchObject({ difference: 0, paired: null, holm: null });
  for (const { paired, holm } of comparisons.filter(({ source }) => source === 'second'))
    expect(holm).toBeCloseTo(2 * paired!, 12);
});
