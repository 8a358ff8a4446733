import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { halfToNumber, toFloat16 } from '../../../graphs/onnx/float16.js';
import { halfPrecision } from '../../../graphs/passes/half-precision.js';
import { noise, relativeError, runGraph } from '../run.js';
import { smallNetwork } from './small-network.js';

describe('half-precision floats', () => {
  test('that can be held exactly are: every finite one', () => {
    const all = Array.from({ length: 65536 }, (_, i) => i).filter((i) => Number.isFinite(halfToNumber(i)));
    expect([...toFloat16(Float32Array.from(all, halfToNumber))]).toEqual(all);
  });

  test('are the nearest ones, ties to even', () => {
    const step = 2 ** -10;
    const cases: [number, number][] = [
      [1 + step / 2, 1],
      [1 + 1.5 * step, 1 + 2 * step],
      [1 + 0.51 * step, 1 + step],
      [2 ** -25, 0],
      [1.5 * 2 ** -24, 2 ** -23],
      [-65519, -65504],
      [65520, Number.POSITIVE_INFINITY],
      [1e9, Number.POSITIVE_INFINITY],
      [Number.NaN, Number.NaN],
    ];
    const rounded = [...toFloat16(Float32Array.from(cases, ([value]) => value))].map(halfToNumber);
    expect(rounded).toEqual(cases.map(([, nearest]) => nearest));
  });
});

test('kernels and feature maps are float16, inputs, outputs and what surrounds them float32', async () => {
  const graph = smallNetwork();
  const half = halfPrecision(graph);
  expect(half.inputs).toEqual(graph.inputs);
  expect(half.outputs.map(({ name, type }) => [name, type])).toEqual(
    graph.outputs.map((v) => [v.name, v.type]),
  );
  const typeOf = (name: string) =>
    half.values.get(half.nodes.find((n) => n.operator === name)!.outputs[0]!)!.type;
  for (const name of ['Conv', 'Relu', 'MaxPool', 'Resize', 'Add']) expect(typeOf(name), name).toBe('float16');
  for (const name of ['Clip', 'Mul', 'GlobalAveragePool', 'Sigmoid'])
    expect(typeOf(name), name).toBe('float32');
  expect(
    [...half.initializers.values()].some(({ type, data }) => type === 'float32' && data.length > 64),
  ).toBe(false);

  const x = { type: 'float32', shape: [1, 1, 8, 8, 8], data: noise(512, 1, 1500) } as const;
  const [expected, got] = [await runGraph(graph, { x }), await runGraph(half, { x })];
  for (const [name, { data }] of Object.entries(expected)) {
    const error = relativeError(got[name]!.data as Float32Array, data as Float32Array);
    expect(error, name).toBeLessThan(5e-3);
    expect(error, name).toBeGreaterThan(0);
  }
});

test('a graph without convolutions stays as it is', () => {
  const g = new GraphBuilder('g');
  g.output('y', g.add('Relu', [g.input('x', 'float32', [2])]));
  const graph = g.build();
  expect(halfPrecision(graph).nodes).toEqual(graph.nodes);
});
