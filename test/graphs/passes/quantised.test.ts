import { expect, test } from 'vitest';
import type { Graph } from '../../../graphs/onnx/types.js';
import { observed, quantised, rangesOf } from '../../../graphs/passes/quantised.js';
import { noise, runGraph } from '../run.js';
import { smallNetwork } from './small-network.js';

const image = (seed: number) =>
  ({ type: 'float32', shape: [1, 1, 8, 8, 8], data: noise(512, seed, 1500) }) as const;
const graph = smallNetwork();
const ranges = async () => rangesOf(await runGraph(observed(graph), { x: image(1) }));
const rms = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((sum, v) => sum + v * v, 0));

test('the ranges are those of the values themselves', async () => {
  const found = await ranges();
  const named: Graph = {
    ...graph,
    outputs: [...found.keys()].map((name) => ({ name, type: 'float32', shape: [] })),
  };
  const values = await runGraph(named, { x: image(1) });
  // The input of the first convolution, three results behind a Relu, two that are added.
  expect(found.size).toBe(6);
  for (const [name, { low, high }] of found) {
    const data = [...(values[name]!.data as Float32Array)];
    expect([low, high], name).toEqual([Math.min(...data), Math.max(...data)]);
  }
});

test('all convolutions but the last take and give integers, and results stay close', async () => {
  const int8 = quantised(graph, await ranges());
  expect(int8.inputs).toEqual(graph.inputs);
  expect(int8.outputs.map(({ name, type }) => [name, type])).toEqual(
    graph.outputs.map((v) => [v.name, v.type]),
  );
  const makers = new Map(
    int8.nodes.flatMap((node) => node.outputs.map((name) => [name, node.operator] as const)),
  );
  const convolutions = int8.nodes.filter(({ operator }) => operator === 'Conv');
  const inputs = convolutions.map(({ inputs: [x, w, b] }) => [x, w, b].map((name) => makers.get(name!)));
  const integer = ['DequantizeLinear', 'DequantizeLinear', 'DequantizeLinear'];
  expect(inputs).toEqual([integer, integer, integer, integer, ['DequantizeLinear', undefined, undefined]]);
  const kernels = [...int8.initializers].filter(([, { shape }]) => shape.length === 5);
  expect(kernels.map(([name, { type }]) => [name, type])).toEqual([
    ['a.weight.int8', 'int8'],
    ['b.weight.int8', 'int8'],
    ['c.weight.int8', 'int8'],
    ['d.weight.int8', 'int8'],
    ['e.weight', 'float32'],
  ]);
  // Without VNNI, two products of a weight and an input of 8 bits are added in 16 bits.
  for (const [, { type, data }] of kernels)
    if (type === 'int8')
      for (const weight of data as Int8Array) expect(2 * 255 * Math.abs(weight)).toBeLessThan(2 ** 15);

  const [expected, got] = [await runGraph(graph, { x: image(2) }), await runGraph(int8, { x: image(2) })];
  for (const [name, { data }] of Object.entries(expected)) {
    const before = data as Float32Array;
    const after = got[name]!.data as Float32Array;
    const error = rms(before.map((v, i) => after[i]! - v)) / rms(before);
    expect(error, name).toBeLessThan(0.03);
    expect(error, name).toBeGreaterThan(1e-5);
  }
});

test('a channel of zeros and a value that is always the same are no division by zero', async () => {
  const initializers = new Map(graph.initializers);
  for (const name of ['a.weight', 'a.bias']) {
    const tensor = initializers.get(name)!;
    initializers.set(name, { ...tensor, data: new Float32Array(tensor.data.length) });
  }
  const dead = { ...graph, initializers };
  const found = rangesOf(await runGraph(observed(dead), { x: image(1) }));
  const [expected, got] = [
    await runGraph(dead, { x: image(2) }),
    await runGraph(quantised(dead, found), { x: image(2) }),
  ];
  const [before, after] = [expected, got].map(({ probabilities }) => probabilities!.data as Float32Array);
  expect(Math.max(...before!.map((v, i) => Math.abs(after![i]! - v)))).toBeLessThan(0.01);
});

test('the bias of a channel that has died is kept, however small its weights are', async () => {
  const initializers = new Map(graph.initializers);
  const scaled = (name: string, factor: number) => {
    const tensor = initializers.get(name)!;
    initializers.set(name, { ...tensor, data: (tensor.data as Float32Array).map((v) => factor * v) });
  };
  scaled('b.weight', 1e-12);
  const dying = { ...graph, initializers };
  const found = rangesOf(await runGraph(observed(dying), { x: image(1) }));
  const { initializers: stored } = quantised(dying, found);
  const [bias, steps] = [graph.initializers.get('b.bias')!.data as Float32Array, stored.get('b.bias.int32')!];
  // 32 bits that overflow change their sign at random.
  expect(Array.from(steps.data, Number).map(Math.sign)).toEqual(Array.from(bias, Math.sign));
  const before = await runGraph(dying, { x: image(2) });
  const after = await runGraph(quantised(dying, found), { x: image(2) });
  const [expected, got] = [before, after].map(({ probabilities }) => probabilities!.data as Float32Array);
  expect(Math.max(...expected!.map((v, i) => Math.abs(got![i]! - v)))).toBeLessThan(0.01);
});
