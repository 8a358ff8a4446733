import { expect, test } from 'vitest';
import { type PlateauOptions, plateauNext, plateauStart } from '../../src/train/schedule.js';

const options: PlateauOptions = {
  factor: 0.5,
  patience: 2,
  minDelta: 1e-2,
  minLearningRate: 1e-3,
  earlyStop: null,
};

/**
 * Validation loss, then learning rate, best and num_bad_epochs after it, by PyTorch 2.15:
 * ReduceLROnPlateau(SGD([p], lr=1e-2), factor=0.5, patience=2, threshold=1e-2, min_lr=1e-3)
 */
const GOLDEN = [
  [1, 0.01, 1, 0],
  [0.8, 0.01, 0.8, 0],
  [0.8, 0.01, 0.8, 1],
  [0.793, 0.01, 0.8, 2], // better, but by less than the threshold
  [0.792, 0.005, 0.8, 0], // exactly at the threshold
  [0.7919, 0.005, 0.7919, 0],
  [0.79, 0.005, 0.7919, 1],
  [0.795, 0.005, 0.7919, 2],
  [0.8, 0.0025, 0.7919, 0],
  [0.6, 0.0025, 0.6, 0],
  [0.7, 0.0025, 0.6, 1],
  [0.61, 0.0025, 0.6, 2],
  [0.6, 0.00125, 0.6, 0],
  [0.594, 0.00125, 0.6, 1],
  [0.593, 0.00125, 0.593, 0],
  [0.7, 0.00125, 0.593, 1],
  [0.7, 0.00125, 0.593, 2],
  [0.7, 0.001, 0.593, 0], // the least rate
  [0.7, 0.001, 0.593, 1],
  [0.7, 0.001, 0.593, 2],
  [0.7, 0.001, 0.593, 0],
  [0.58, 0.001, 0.58, 0],
  [0.6, 0.001, 0.58, 1],
] as const;

test('the learning rate follows PyTorch’s ReduceLROnPlateau', () => {
  let state = plateauStart(1e-2);
  for (const [loss, learningRate, best, badValidations] of GOLDEN) {
    const before = state.learningRate;
    const next = plateauNext(state, loss, options);
    state = next.state;
    expect(state).toMatchObject({ learningRate, best, badValidations });
    expect(next.reduced).toBe(learningRate < before);
  }
});

test('a change that is too small to matter is not made', () => {
  const { state, reduced } = plateauNext(
    { learningRate: 1e-8, best: 1, badValidations: 0, sinceBest: 0 },
    2,
    { ...options, patience: 0, minLearningRate: 0 },
  );
  expect([state.learningRate, reduced]).toEqual([1e-8, false]);
});

test('training stops after so many validations without improvement, reductions or not', () => {
  let state = plateauStart(1e-2);
  const stops = [1, 2, 0.5, 2, 2, 2, 2, 2].map((loss) => {
    const next = plateauNext(state, loss, { ...options, earlyStop: 5 });
    state = next.state;
    return next.stop;
  });
  expect(stops).toEqual([...Array(7).fill(false), true]);
});

test('a loss that is no finite number is never the best', () => {
  for (const loss of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const { state } = plateauNext(plateauStart(1), loss, options);
    expect(state).toMatchObject({ best: null, badValidations: 1 });
    expect(plateauNext(state, 3, options).state.best).toBe(3);
  }
});
