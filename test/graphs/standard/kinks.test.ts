/** Gradients where functions have kinks or are infinite, and at equal values: what PyTorch 2.15 gives for the same tensors. */
import { expect, test } from 'vitest';
import { backward } from '../../../graphs/autodiff/backward.js';
import { NetworkBuilder } from '../../../graphs/nn/module.js';
import { classified } from '../../../graphs/objectives/classes.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { Attribute, Value } from '../../../graphs/onnx/types.js';
import { translate } from '../../../graphs/standard/index.js';
import { runGraph } from '../run.js';
import { int, ints } from './as-it-is.js';

type Numbers = readonly number[];
const floats = (shape: Numbers, data: Numbers) => ({
  type: 'float32' as const,
  shape: [...shape],
  data: Float32Array.from(data),
});

/** What an operator makes of its inputs, and the gradients of Σ dy · y with dy = 1, 2, 3, …. */
async function run(
  operator: string,
  inputs: readonly (readonly [shape: Numbers, data: Numbers])[],
  attributes: Record<string, Attribute> = {},
) {
  const g = new GraphBuilder('kinks');
  const values = inputs.map(([shape], i) => g.input(`x${i}`, 'float32', [...shape]));
  const names = values.map(({ name }) => name);
  const node = { name: 'n', operator, domain: '', inputs: names, outputs: ['o'], attributes };
  const y = translate(g, node, values, 20)[0]!;
  const size = y.shape.reduce<number>((product, length) => product * Number(length), 1);
  const dy = g.floats(
    Array.from({ length: size }, (_, i) => i + 1),
    y.shape as number[],
  );
  const loss = g.sum(g.add('Mul', [y, dy]), [...y.shape.keys()], 0);
  for (const [i, gradient] of backward(g, loss, values).entries()) g.output(`d${i}`, gradient as Value);
  g.output('y', y);
  const feeds = Object.fromEntries(inputs.map(([shape, data], i) => [`x${i}`, floats(shape, data)]));
  const results = await runGraph(g.build(), feeds);
  return {
    y: [...results.y!.data] as number[],
    gradients: values.map((_, i) => [...results[`d${i}`]!.data] as number[]),
  };
}

test.each<[string, readonly (readonly [Numbers, Numbers])[], readonly Numbers[], Record<string, Attribute>?]>(
  [
    [
      'Clip',
      [
        [[4], [0, 6, 3, 7]],
        [[], [0]],
        [[], [6]],
      ],
      [[0, 0, 3, 0], [0], [4]],
    ],
    [
      'PRelu',
      [
        [[3], [0, -1, 1]],
        [[1], [0.25]],
      ],
      [[0.25, 0.5, 3], [-2]],
    ],
    ['HardSwish', [[[3], [-3, 3, 0]]], [[0, 2, 1.5]]],
    ['HardSigmoid', [[[3], [-2.5, 2.5, 0]]], [[0, 0, 0.6]]],
    ['Sqrt', [[[2], [0, 4]]], [[0, 0.5]]],
    [
      'MeanVarianceNormalization',
      [
        [
          [1, 2, 1, 2],
          [5, 5, 1, 3],
        ],
      ],
      [[-5e8, 5e8, 0, 0]],
    ],
    [
      'Pow',
      [
        [[3], [0, 1, 2]],
        [[], [3]],
      ],
      [[0, 6, 36], [24 * Math.log(2)]],
    ],
    [
      'Pow',
      [
        [[2], [0, 2]],
        [[2], [0, 1]],
      ],
      [
        [0, 2],
        [0, 4 * Math.log(2)],
      ],
    ],
    [
      'Max',
      [
        [[3], [-Infinity, 1, 2]],
        [[3], [-Infinity, 0, 2]],
      ],
      [
        [0.5, 2, 1.5],
        [0.5, 0, 1.5],
      ],
    ],
    [
      'Min',
      [
        [[2], [Infinity, 1]],
        [[2], [Infinity, 0]],
      ],
      [
        [0.5, 0],
        [0.5, 2],
      ],
    ],
    [
      'MaxPool',
      [
        [
          [1, 1, 2, 2],
          [1, 1, 1, 1],
        ],
      ],
      [[1, 0, 0, 0]],
      { kernel_shape: ints(2, 2) },
    ],
    [
      'GlobalMaxPool',
      [
        [
          [1, 2, 2, 2],
          [1, 1, 1, 1, 0, 3, 3, 3],
        ],
      ],
      [[1, 0, 0, 0, 0, 2, 0, 0]],
    ],
  ],
)('%s of %j', async (operator, inputs, expected, attributes) => {
  const { gradients } = await run(operator, inputs, attributes);
  for (const [i, gradient] of expected.entries())
    for (const [j, value] of gradient.entries())
      expect(Math.abs(gradients[i]![j]! - value)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(value)));
});

test('axes behind an ellipsis are broadcast by Einsum', async () => {
  const equation = { kind: 'string', value: '...ij,...jk->...ik' } as const;
  const { y, gradients } = await run(
    'Einsum',
    [
      [
        [1, 1, 2],
        [1, 2],
      ],
      [
        [2, 2, 1],
        [1, 10, 3, 4],
      ],
    ],
    { equation },
  );
  expect(y).toEqual([21, 11]);
  expect(gradients).toEqual([
    [1 + 2 * 3, 10 + 2 * 4],
    [1, 2, 2, 4],
  ]);
});

test('an ignored class of −∞ counts as little as any other', async () => {
  const g = new GraphBuilder('ignored');
  const x = g.input('x', 'float32', [2, 2]);
  const target = g.input('target', 'int64', [2]);
  for (const [i, operator] of (['NegativeLogLikelihoodLoss', 'SoftmaxCrossEntropyLoss'] as const).entries()) {
    const attributes = { ignore_index: int(-100) };
    const node = {
      name: operator,
      operator,
      domain: '',
      inputs: ['x', 'target'],
      outputs: ['o'],
      attributes,
    };
    const loss = translate(g, node, [x, target], 20)[0]!;
    g.output(`loss${i}`, loss);
    g.output(`d${i}`, backward(g, loss, [x])[0]!);
  }
  const graph = g.build();
  const lossesOf = async (...labels: number[]) => {
    const feeds = {
      x: floats([2, 2], [-1, -2, -Infinity, 0]),
      target: { type: 'int64' as const, shape: [2], data: BigInt64Array.from(labels, BigInt) },
    };
    const found = await runGraph(graph, feeds);
    for (const i of [0, 1]) expect([...found[`d${i}`]!.data].every(Number.isFinite)).toBe(true);
    return [0, 1].map((i) => Number(found[`loss${i}`]!.data[0]));
  };
  const [likelihood, entropy] = await lossesOf(1, -100);
  expect(likelihood).toBeCloseTo(2, 6);
  expect(entropy).toBeCloseTo(1.313262, 5);
  expect(await lossesOf(-100, -100)).toEqual([0, 0]);
});

/** Loss and gradient of cross-entropy, each class with a weight, or without. */
async function crossEntropyOf(logits: readonly Numbers[], labels: Numbers, classWeights: Numbers | null) {
  const [batch, outputs] = [logits.length, logits[0]!.length];
  const g = new GraphBuilder('classes');
  const z = g.input('z', 'float32', [batch, outputs]);
  const loss = { name: 'crossEntropy' as const, classWeights };
  const total = classified(new NetworkBuilder(g, 'training'), z, { batch, outputs, loss }).loss();
  g.output('loss', total);
  g.output('dz', backward(g, total, [z])[0]!);
  const found = await runGraph(g.build(), {
    z: floats([batch, outputs], logits.flat()),
    sample_weight: floats(
      [batch],
      labels.map(() => 1),
    ),
    label: { type: 'int32', shape: [batch], data: Int32Array.from(labels) },
  });
  return { loss: found.loss!.data[0] as number, gradient: [...found.dz!.data] as number[] };
}

test('logits of −∞ rule classes out in the cross-entropy', async () => {
  const { loss, gradient } = await crossEntropyOf([[0, 1, -Infinity]], [1], null);
  expect(loss).toBeCloseTo(0.313262, 5);
  for (const [i, value] of [0.268941, -0.268941, 0].entries()) expect(gradient[i]).toBeCloseTo(value, 5);
});

test.each([null, [1, 1]])(
  'a label that is no class leaves its sample out, with class weights %j',
  async (weights) => {
    const logits = [
      [0, 1],
      [2, 0],
      [1, 1],
    ];
    const { loss, gradient } = await crossEntropyOf(logits, [1, -1, 0], weights);
    expect(loss).toBeCloseTo(0.503204, 5);
    for (const [i, value] of [0.134471, -0.134471, 0, 0, -0.25, 0.25].entries())
      expect(gradient[i]).toBeCloseTo(value, 5);
    const none = await crossEntropyOf(logits, [-1, -1, -1], weights);
    expect([none.loss, ...none.gradient].map(Math.abs)).toEqual(Array(7).fill(0));
  },
);
