/** Loops that run a known number of times, against ONNX Runtime, which runs them as they are. */
import { expect, test } from 'vitest';
import { importModel } from '../../../graphs/imported/import-model.js';
import type { Attribute, Tensor } from '../../../graphs/onnx/types.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { openModelTraining } from '../../../src/train/model-training.js';
import { noise, relativeError } from '../run.js';
import { graphOf, integers, modelOf, node, type Parts, value, weight } from './models.js';

const scalar = (data: BigInt64Array | Uint8Array): Tensor => ({
  type: data instanceof Uint8Array ? 'bool' : 'int64',
  shape: [],
  data,
});

/** Carries h ← tanh(h · w) · 2ⁱ, ends when i + 1 is not less than `stop`, and gives all h·w. */
const turn = graphOf({
  inputs: [value('i', [], 'int64'), value('on', [], 'bool'), value('h', [2, 3])],
  outputs: ['goes_on', 'next', 'product'],
  nodes: [
    node('MatMul', ['h', 'w'], ['product']),
    node('Tanh', ['product'], ['t']),
    node('Cast', ['i'], ['number'], { to: { kind: 'int', value: 1 } }),
    node('Pow', ['two', 'number'], ['factor']),
    node('Mul', ['t', 'factor'], ['next']),
    node('Add', ['i', 'one'], ['later']),
    node('Less', ['later', 'stop'], ['goes_on']),
  ],
  tensors: {
    two: { type: 'float32', shape: [], data: Float32Array.of(2) },
    one: scalar(BigInt64Array.of(1n)),
  },
});

const body: Attribute = {
  kind: 'graph',
  value: {
    ...turn,
    outputs: [value('goes_on', [], 'bool'), value('next', [2, 3]), value('product', [2, 3])],
  },
};

const looping = (turns: bigint, stop: bigint, opset = 18): Parts => ({
  inputs: [value('x', [2, 3])],
  outputs: ['y'],
  nodes: [
    node('Loop', ['turns', 'always', 'x'], ['last', 'all'], { body }),
    node('ReduceSum', ['all', 'axes'], ['sum'], { keepdims: { kind: 'int', value: 0 } }),
    node('Add', ['last', 'sum'], ['y']),
  ],
  tensors: {
    w: weight([3, 3], 1),
    axes: integers(0),
    turns: scalar(BigInt64Array.of(turns)),
    stop: scalar(BigInt64Array.of(stop)),
    always: scalar(Uint8Array.of(1)),
  },
  opset,
});

test.each([
  ['its limit', 3n, 9n, 3],
  ['a condition that is known', 9n, 2n, 2],
])('a loop that ends by %s is its turns, of which all train its weights', async (_, turns, stop, count) => {
  const bytes = modelOf(looping(turns, stop));
  const x = { type: 'float32', shape: [2, 3], data: noise(6, 2) } as const;
  const session = await nodeEngine.load(bytes, { threads: 1 });
  const expected = (await session.run({ x })).y!.data as Float32Array;
  await session.release();

  const { graph, report } = importModel(bytes);
  expect(graph.nodes.filter(({ operator }) => operator === 'MatMul')).toHaveLength(count);
  expect(report.trained).toEqual([{ name: 'w', shape: [3, 3], operator: 'MatMul' }]);
  const training = await openModelTraining({
    ...{ engine: nodeEngine, model: bytes, inputs: {}, threads: 1 },
    loss: { name: 'meanSquaredError' },
  });
  const batch = { x, target: { ...x, data: new Float32Array(6) } };
  const { prediction } = await training.evaluate(batch);
  expect(relativeError(prediction!.data as Float32Array, expected)).toBeLessThan(1e-6);
  const first = (await training.step(batch, 0.01)).loss;
  for (let i = 0; i < 20; i++) await training.step(batch, 0.01);
  expect((await training.step(batch, 0.01)).loss).toBeLessThan(0.5 * first);
  await training.release();
});

test('a loop whose end depends on the data, or that is very long, is refused', () => {
  const long = modelOf(looping(1_000_000n, 2_000_000n));
  expect(() => importModel(long)).toThrow('Loop (1, such as "last"): how often the loop runs');
  const parts = looping(3n, 9n);
  const { always: _, ...tensors } = parts.tensors!;
  const nodes = [
    node('ReduceMax', ['x'], ['most'], { keepdims: { kind: 'int', value: 0 } }),
    node('Cast', ['most'], ['always'], { to: { kind: 'int', value: 9 } }),
    ...parts.nodes,
  ];
  expect(() => importModel(modelOf({ ...parts, nodes, tensors }))).toThrow('depends on the data');
});
