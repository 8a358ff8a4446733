import { expect, test } from 'vitest';
import { checkedDifference } from '../../src/commands/export-files.js';
import { scoreClasses, scorePredictions } from '../../src/commands/score-samples.js';
import type { SampleStore } from '../../src/data/samples/store.js';
import type { Prediction } from '../../src/train/target.js';

const of = (label: number, ...probabilities: number[]) => ({
  label,
  probabilities: Float32Array.from(probabilities),
});

test('accuracy is the share of samples whose most likely class is theirs', () => {
  const two = [of(0, 0.9, 0.1), of(0, 0.6, 0.4), of(0, 0.3, 0.7), of(1, 0.2, 0.8)];
  expect(scoreClasses(two, ['no', 'yes'])).toEqual({ auc: 1, average_precision: 1, accuracy: 0.75 });
  const three = [of(0, 0.5, 0.3, 0.2), of(1, 0.5, 0.3, 0.2), of(2, 0.1, 0.1, 0.8), of(2, 0.6, 0.3, 0.1)];
  const { accuracy, auc, average_precision } = scoreClasses(three, ['a', 'b', 'c']);
  expect(accuracy).toBe(0.5);
  // By scikit-learn 1.9: each class against the others, and the mean.
  expect(auc).toBeCloseTo(0.5555555555555556, 12);
  expect(average_precision).toBeCloseTo(0.47222222222222215, 12);
});

test('the loss of predictions is their mean by weight', async () => {
  const store = { manifest: { kind: 'classification', classes: ['no', 'yes'] } } as unknown as SampleStore;
  async function* predictions(): AsyncGenerator<Prediction> {
    for (const [i, [loss, weight]] of [
      [1, 1],
      [4, 3],
    ].entries())
      yield {
        ...{ sample: { id: `s${i}`, patient: 'p', label: i }, loss, weight },
        probabilities: Float32Array.of(0.5, 0.5),
      } as unknown as Prediction;
  }
  expect((await scorePredictions(store, predictions(), true)).loss).toBe(13 / 4);
});

test('an export that gives other results than the trained network is refused', () => {
  const expected = Float32Array.of(1, -4, 2);
  expect(checkedDifference(expected, Float32Array.of(1, -4, 2))).toBe(0);
  expect(checkedDifference(expected, Float32Array.of(1.5, -4, 2), 0.2)).toBeCloseTo(0.125);
  expect(() => checkedDifference(expected, Float32Array.of(1.5, -4, 2), 0.1)).toThrow(
    /a relative difference of 0\.125/,
  );
  expect(() => checkedDifference(expected, Float32Array.of(Number.NaN, -4, 2))).toThrow(
    /nothing was written/,
  );
  expect(() => checkedDifference(expected, Float32Array.of(1.01, -4, 2))).toThrow(/nothing was written/);
});
