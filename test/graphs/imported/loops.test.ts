/** Loops that run a known number of times, against ONNX Runtime, which runs them as they are. */
import { expect, test } from 'vitest';
import { importModel } from '../../../graphs/imported/import-model.js';
import type { Attribute, Tensor } from '../../../graphs/onnx/types.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { openModelTraining } from '../../../src/train/model-training.js';
import { noise, relativeError } from '../run.js';
import { filled, graphOf, integers, modelOf, node, type Parts, value, weight } from './models.js';

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

/** @param turns at most; null has no limit */
const looping = (turns: bigint | null, stop: bigint, opset = 18): Parts => ({
  inputs: [value('x', [2, 3])],
  outputs: ['y'],
  nodes: [
    node('Loop', [turns === null ? '' : 'turns', 'always', 'x'], ['last', 'all'], { body }),
    node('ReduceSum', ['all', 'axes'], ['sum'], { keepdims: { kind: 'int', value: 0 } }),
    node('Add', ['last', 'sum'], ['y']),
  ],
  tensors: {
    w: weight([3, 3], 1),
    axes: integers(0),
    turns: scalar(BigInt64Array.of(turns ?? 0n)),
    stop: scalar(BigInt64Array.of(stop)),
    always: scalar(Uint8Array.of(1)),
  },
  opset,
});

/** What ONNX Runtime makes of a model. */
async function outputOf(bytes: Uint8Array, x: Tensor): Promise<Float32Array> {
  const session = await nodeEngine.load(bytes, { threads: 1 });
  const { y } = await session.run({ x });
  await session.release();
  return y!.data as Float32Array;
}

/** Training predicts what ONNX Runtime does, and halves the loss in some steps. @param shape of the output */
async function trains(bytes: Uint8Array, x: Tensor, expected: Float32Array, shape: number[], steps: number) {
  const training = await openModelTraining({
    ...{ engine: nodeEngine, model: bytes, inputs: {}, threads: 1 },
    loss: { name: 'meanSquaredError' },
  });
  const batch = { x, target: { type: 'float32', shape, data: new Float32Array(expected.length) } as const };
  const { prediction } = await training.evaluate(batch);
  expect(relativeError(prediction!.data as Float32Array, expected)).toBeLessThan(1e-6);
  const first = (await training.step(batch, 0.01)).loss;
  for (let i = 0; i < steps; i++) await training.step(batch, 0.01);
  expect((await training.step(batch, 0.01)).loss).toBeLessThan(0.5 * first);
  await training.release();
}

test.each([
  ['its limit', 3n, 9n, 3],
  ['a condition that is known', 9n, 2n, 2],
  ['a condition alone', null, 2n, 2],
])('a loop that ends by %s is its turns, of which all train its weights', async (_, turns, stop, count) => {
  const bytes = modelOf(looping(turns, stop));
  const x = { type: 'float32', shape: [2, 3], data: noise(6, 2) } as const;
  const expected = await outputOf(bytes, x);
  const { graph, report } = importModel(bytes);
  expect(graph.nodes.filter(({ operator }) => operator === 'MatMul')).toHaveLength(count);
  expect(report.trained).toEqual([{ name: 'w', shape: [3, 3], operator: 'MatMul' }]);
  await trains(bytes, x, expected, [2, 3], 20);
});

/** Carries h ← tanh(h · w + a + b), where a and b are slices of two tensors, and gives h and h². */
const slice: Attribute = {
  kind: 'graph',
  value: {
    ...graphOf({
      inputs: [value('h', [2, 3]), value('a', [2, 3]), value('b', [2, 3])],
      outputs: ['next', 'state', 'squared'],
      nodes: [
        node('MatMul', ['h', 'w'], ['product']),
        node('Sum', ['product', 'a', 'b'], ['sum']),
        node('Tanh', ['sum'], ['next']),
        node('Identity', ['next'], ['state']),
        node('Mul', ['next', 'next'], ['squared']),
      ],
    }),
    outputs: [value('next', [2, 3]), value('state', [2, 3]), value('squared', [2, 3])],
  },
};

const ints = (...numbers: number[]): Attribute => ({ kind: 'ints', value: numbers });

/** A scan of the same tensor along its first axis and, backwards, along its last. */
const scanning = (opset: number): Parts => ({
  inputs: [value('x', [4, 2, 3])],
  outputs: ['y'],
  nodes: [
    node('Transpose', ['x'], ['turned'], { perm: ints(1, 2, 0) }),
    node('Scan', ['zeros', 'x', 'turned'], ['last', 'states', 'squares'], {
      body: slice,
      num_scan_inputs: { kind: 'int', value: 2 },
      scan_input_axes: ints(0, -1),
      scan_input_directions: ints(0, 1),
      scan_output_axes: ints(1, -1),
      scan_output_directions: ints(0, 1),
    }),
    node('MatMul', ['squares', 'states'], ['both']), // [2, 3, 4] · [2, 4, 3]
    node('MatMul', ['last', 'both'], ['y']),
  ],
  tensors: { w: weight([3, 3], 1), zeros: filled([2, 3], 0.5) },
  opset,
});

test.each([11, 18])('a scan over a tensor of known length is its turns, in version %i', async (opset) => {
  const bytes = modelOf(scanning(opset));
  const x = { type: 'float32', shape: [4, 2, 3], data: noise(24, 2) } as const;
  const expected = await outputOf(bytes, x);
  const { graph, report } = importModel(bytes);
  expect(graph.nodes.filter(({ operator }) => operator === 'Tanh')).toHaveLength(4);
  expect(report.trained).toEqual([{ name: 'w', shape: [3, 3], operator: 'MatMul' }]);
  await trains(bytes, x, expected, [2, 2, 3], 40);
});

test('a scan with batches, as in version 8 of the standard, is refused', () => {
  expect(() => importModel(modelOf(scanning(8)))).toThrow(
    'Scan (1, such as "last"): how often the loop runs',
  );
});

test('a loop whose end depends on the data, or that is very long, is refused', () => {
  const long = modelOf(looping(1_000_000n, 2_000_000n));
  expect(() => importModel(long)).toThrow('Loop (1, such as "last"): how often the loop runs');
  const endless = modelOf(looping(null, 2_000_000n));
  expect(() => importModel(endless)).toThrow('Loop (1, such as "last"): how often the loop runs');
  const parts = looping(3n, 9n);
  const { always: _, ...tensors } = parts.tensors!;
  const nodes = [
    node('ReduceMax', ['x'], ['most'], { keepdims: { kind: 'int', value: 0 } }),
    node('Cast', ['most'], ['always'], { to: { kind: 'int', value: 9 } }),
    ...parts.nodes,
  ];
  expect(() => importModel(modelOf({ ...parts, nodes, tensors }))).toThrow('depends on the data');
});

test('a loop that does nothing and never ends is refused', () => {
  const idle: Attribute = {
    kind: 'graph',
    value: graphOf({
      inputs: [value('i', [], 'int64'), value('on', [], 'bool'), value('h', [2, 3])],
      outputs: ['on', 'h'],
      nodes: [],
    }),
  };
  const bytes = modelOf({
    inputs: [value('x', [2, 3])],
    outputs: ['y'],
    nodes: [node('MatMul', ['x', 'w'], ['h']), node('Loop', ['', '', 'h'], ['y'], { body: idle })],
    tensors: { w: weight([3, 3], 1) },
  });
  expect(() => importModel(bytes)).toThrow('Loop (1, such as "y"): how often the loop runs');
});
