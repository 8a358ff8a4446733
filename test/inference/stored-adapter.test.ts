import { expect, test } from 'vitest';
import { probabilitiesOf, type StoredAdapter } from '../../src/inference/stored-adapter.js';

const { exp, log } = Math;
const share = (z: number, ...all: number[]) => exp(z) / all.reduce((sum, each) => sum + exp(each), 0);
const sigmoid = (z: number) => 1 / (1 + exp(-z));

test.each<[string, Pick<StoredAdapter, 'kind' | 'classes' | 'values'>, number[], number[], number[]]>([
  [
    'logits of three classes',
    { kind: 'classification', classes: 3, values: 'logits' },
    [1, 3],
    [1, 2, 1000],
    [0, 0, 1],
  ],
  [
    'log probabilities of two',
    { kind: 'classification', classes: 2, values: 'logProbabilities' },
    [2, 2],
    [log(0.25), log(0.75), log(0.5), log(0.5)],
    [0.25, 0.75, 0.5, 0.5],
  ],
  [
    'the logit of the second',
    { kind: 'classification', classes: 2, values: 'logits' },
    [2, 1],
    [2, -1],
    [1 - sigmoid(2), sigmoid(2), 1 - sigmoid(-1), sigmoid(-1)],
  ],
  [
    'masks that may overlap',
    { kind: 'segmentation', classes: 2, values: 'logits' },
    [1, 2, 2],
    [1, 2, 3, 4],
    [1, 2, 3, 4].map(sigmoid),
  ],
  [
    'a mask and its background',
    { kind: 'segmentation', classes: 1, values: 'logits' },
    [1, 2, 2],
    [1, 2, 3, 1],
    [share(3, 1, 3), share(1, 2, 1)],
  ],
  [
    'the softmax of a mask and its background',
    { kind: 'segmentation', classes: 1, values: 'probabilities' },
    [1, 2, 2],
    [0.1, 0.2, 0.9, 0.8],
    [0.9, 0.8],
  ],
])('probabilities of %s', (_, adapter, shape, data, expected) => {
  const found = probabilitiesOf({ type: 'float32', shape, data: Float32Array.from(data) }, adapter);
  expect(found).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 6);
});
