import { expect, test } from 'vitest';
import { importModel } from '../../../graphs/imported/import-model.js';
import {
  featuresOf,
  importedClassification,
  keptValues,
} from '../../../graphs/objectives/imported-target.js';
import { evaluationGraph } from '../../../graphs/programs/evaluation.js';
import { floatTensor } from '../../../src/train/fresh-state.js';
import { initialize } from '../../../src/weights/initialize.js';
import { modelOf, node, type Parts, perceptron } from '../imported/models.js';
import { noise, runGraph } from '../run.js';

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
  [
    'a matrix, and a softmax that is cast and in another shape',
    last(
      node('MatMul', ['r', 'second.weight'], ['m']),
      node('Cast', ['m'], ['logits'], { to: { kind: 'int', value: 1 } }),
      node('Softmax', ['logits'], ['p'], { axis: { kind: 'int', value: 1 } }),
      node('Cast', ['p'], ['q'], { to: { kind: 'int', value: 1 } }),
      node('Flatten', ['q'], ['y']),
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

test.each(['Softmax', 'LogSoftmax'])(
  'what learns with its own %s learns by the logits, whatever is behind it',
  async (activation) => {
    const ending = [
      node(activation, ['y'], ['p'], { axis: { kind: 'int', value: 1 } }),
      node('Cast', ['p'], ['cast'], { to: { kind: 'int', value: 1 } }),
      node('Flatten', ['cast'], ['out']),
    ];
    const models = [
      perceptron,
      { ...perceptron, nodes: [...perceptron.nodes, ...ending], outputs: ['out'] },
    ].map((parts) => importModel(modelOf(parts), { inputs: { x: [2, 3] } }));
    expect(models.map((model) => keptValues(model, model.outputs[0]!.name))).toEqual([
      'logits',
      activation === 'Softmax' ? 'probabilities' : 'logProbabilities',
    ]);
    const image = { batch: 2, channels: 3, size: [1, 1, 1], inputType: 'float32', window: null } as const;
    const input = { input: 'x', type: 'float32', shape: [3] } as const;
    const options = {
      image,
      adapter: { ...input, repeat: 1, clip: null, offset: 0, scale: 1 },
      head: { kind: 'classification', head: 'keep', value: null, outputs: 2, hidden: null },
    } as const;
    const [own, last] = await Promise.all(
      models.map(async (model) => {
        const objective = importedClassification(model, options, {
          name: 'crossEntropy',
          classWeights: null,
        });
        const { graph, parameters } = evaluationGraph(objective);
        const values = initialize(parameters, 1);
        const { loss } = await runGraph(graph, {
          ...Object.fromEntries(
            parameters.map(({ name, shape }) => [name, floatTensor(shape, values.get(name)!)]),
          ),
          image: floatTensor([2, 3, 1, 1, 1], noise(6, 9)),
          label: { type: 'int32', shape: [2], data: Int32Array.of(0, 1) },
          sample_weight: floatTensor([2], Float32Array.of(1, 1)),
        });
        return [...(loss!.data as Float32Array)];
      }),
    );
    expect(last).toEqual(own);
  },
);
