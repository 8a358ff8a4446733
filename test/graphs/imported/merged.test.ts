/** Tensors that exporters merged, or that a file stores in another form: training and the file that is written must agree. */
import { expect, test } from 'vitest';
import type { Attribute, Tensor } from '../../../graphs/onnx/types.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { openModelTraining } from '../../../src/train/model-training.js';
import { noise, relativeError } from '../run.js';
import { filled, integers, modelOf, node, type Parts, value, weight } from './models.js';

/** Trains a model for some steps. @returns what it evaluates to then, and what its file gives in ONNX Runtime */
async function trained(parts: Parts, shape: readonly number[], target: readonly number[]) {
  const floats = (sizes: readonly number[], seed: number) => ({
    ...{ type: 'float32' as const, shape: [...sizes] },
    data: noise(
      sizes.reduce((a, b) => a * b, 1),
      seed,
    ).map((v) => 2 * v + 3),
  });
  const training = await openModelTraining({
    ...{ engine: nodeEngine, model: modelOf(parts), inputs: { x: shape }, threads: 1 },
    loss: { name: 'meanSquaredError' },
  });
  for (let i = 0; i < 30; i++) await training.step({ x: floats(shape, i), target: floats(target, 100 + i) });
  const x = floats(shape, 50);
  const { prediction } = await training.evaluate({ x, target: floats(target, 1) });
  const session = await nodeEngine.load(await training.trainedModel(), { threads: 1 });
  const file = (await session.run({ x }))[parts.outputs[0]!]!;
  await session.release();
  await training.release();
  return { evaluated: prediction!.data as Float32Array, file: file.data as Float32Array };
}

const DOUBLE: Record<string, Attribute> = { to: { kind: 'int', value: 1 } };
const double = ({ shape, data }: Tensor): Tensor => ({
  ...{ type: 'float64', shape },
  data: Float64Array.from(data as Float32Array),
});

/** x → convolution → batch normalisation, whose scale, bias, mean and variance are 1, 0, 0 and 1. */
const normalised = (
  [scale, bias, mean, variance]: readonly [string, string, string, string],
  tensors: Readonly<Record<string, Tensor>>,
  nodes: Parts['nodes'] = [],
): Parts => ({
  inputs: [value('x', [4, 3, 5, 5])],
  outputs: ['y'],
  nodes: [
    node('Conv', ['x', 'w'], ['c']),
    ...nodes,
    node('BatchNormalization', ['c', scale, bias, mean, variance], ['n']),
    node('Relu', ['n'], ['y']),
  ],
  tensors: { w: weight([2, 3, 1, 1], 1), ...tensors },
});
const [zeros, ones] = [filled([2], 0), filled([2], 1)];
const apart = normalised(['s', 'b', 'm', 'v'], { s: ones, b: zeros, m: zeros, v: ones });

test.each<[string, Parts]>([
  [
    'scale and variance, bias and mean are one tensor each',
    normalised(['one', 'zero', 'zero', 'one'], { one: ones, zero: zeros }),
  ],
  [
    'statistics are stored in double precision',
    normalised(['s', 'b', 'm', 'v'], { s: ones, b: zeros, m2: double(zeros), v2: double(ones) }, [
      node('Cast', ['m2'], ['m'], DOUBLE),
      node('Cast', ['v2'], ['v'], DOUBLE),
    ]),
  ],
  [
    'statistics are stored with axes of size 1',
    normalised(
      ['s', 'b', 'm', 'v'],
      { s: ones, b: zeros, m4: filled([1, 2, 1, 1], 0), v4: filled([1, 2, 1, 1], 1), two: integers(2) },
      [node('Reshape', ['m4', 'two'], ['m']), node('Reshape', ['v4', 'two'], ['v'])],
    ),
  ],
])('batch normalisation learns the same where %s', async (_, parts) => {
  const [shape, target] = [
    [4, 3, 5, 5],
    [4, 2, 5, 5],
  ];
  const expected = await trained(apart, shape, target);
  const found = await trained(parts, shape, target);
  expect(relativeError(found.evaluated, expected.evaluated)).toBeLessThan(1e-5);
  expect(relativeError(found.file, expected.evaluated)).toBeLessThan(1e-5);
});

test('statistics that are computed are refused', async () => {
  const parts = normalised(['s', 'b', 'm', 'v'], { s: ones, b: zeros, m2: filled([2], 1), v: ones }, [
    node('Sub', ['m2', 'm2'], ['m']),
  ]);
  await expect(trained(parts, [4, 3, 5, 5], [4, 2, 5, 5])).rejects.toThrow(
    /the running mean of "n" is no tensor that is stored in the file/,
  );
});

test.each(['W', 'weight', 'label'])(
  'a matrix that is called %s is one, wherever it is read',
  async (name) => {
    const parts: Parts = {
      inputs: [value('x', [4, 3])],
      outputs: ['y'],
      nodes: [
        node('MatMul', ['x', name], ['p']),
        node('Sub', ['p', 'rows'], ['q']),
        node('Relu', ['q'], ['y']),
      ],
      tensors: { [name]: weight([3, 3], 2) },
    };
    const rows = node('ReduceSum', [name], ['rows'], { keepdims: { kind: 'int', value: 1 } });
    const { evaluated, file } = await trained({ ...parts, nodes: [rows, ...parts.nodes] }, [4, 3], [4, 3]);
    expect(relativeError(file, evaluated)).toBeLessThan(1e-5);
  },
);
