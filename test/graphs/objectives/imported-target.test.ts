import { expect, test } from 'vitest';
import { importModel } from '../../../graphs/imported/import-model.js';
import { featuresOf } from '../../../graphs/objectives/imported-target.js';
import { modelOf, node, type Parts, perceptron } from '../imported/models.js';

const featuresIn = (parts: Parts): string =>
  featuresOf(importModel(modelOf(parts), { inputs: { x: [2, 3] } }), { kind: 'classification', value: null });
const last = (...nodes: Parts['nodes']): Parts => ({
  ...perceptron,
  nodes: [...perceptron.nodes.slice(0, 2), ...nodes],
});

test.each([
  ['a matrix and a bias', perceptron, 'r'],
  [
    'a matrix that is transposed, and a softmax',
    last(
      node('Transpose', ['second.weight'], ['t'], { perm: { kind: 'ints', value: [0, 1] } }),
      node('Gemm', ['r', 't', 'second.bias'], ['logits']),
      node('Softmax', ['logits'], ['p'], { axis: { kind: 'int', value: 1 } }),
      node('Identity', ['p'], ['y']),
    ),
    'r',
  ],
  ['an activation', last(node('Identity', ['r'], ['y'])), 'y'],
  [
    'an output of features',
    {
      ...perceptron,
      outputs: ['y', 'features'],
      nodes: [...perceptron.nodes, node('Identity', ['h'], ['features'])],
    },
    'features',
  ],
] as const)('new layers take the place of %s', (_, parts, features) => {
  expect(featuresIn(parts)).toBe(features);
});
