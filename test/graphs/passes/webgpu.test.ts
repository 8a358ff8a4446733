import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { GivenAttributes } from '../../../graphs/onnx/operator.js';
import type { AttributesOf } from '../../../graphs/onnx/ops/index.js';
import type { Window } from '../../../graphs/onnx/ops/spatial.js';
import { forWebgpu } from '../../../graphs/passes/webgpu.js';
import { noise, relativeError, runGraph } from '../run.js';

const SHAPES: readonly [title: string, shape: readonly number[], window: Window][] = [
  ['along a row', [2, 3, 9], { kernel_shape: [3], strides: [2], pads: [1, 0] }],
  ['that overlap, with padding', [2, 2, 7, 8], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }],
  ['that lie apart', [1, 2, 9, 9], { kernel_shape: [2, 2], strides: [3, 3], pads: [0, 0, 1, 1] }],
  [
    'with gaps',
    [1, 2, 9, 8],
    { kernel_shape: [2, 3], strides: [1, 2], pads: [1, 2, 1, 2], dilations: [2, 2] },
  ],
  ['of a volume', [1, 2, 4, 6, 4], { kernel_shape: [2, 2, 2], strides: [2, 2, 2], pads: [0, 0, 0, 0, 0, 0] }],
];

test.each(SHAPES)('finds the first maxima of windows %s', async (_, shape, window) => {
  const g = new GraphBuilder('g');
  const [y, places] = g.addMany('MaxPool', [g.input('x', 'float32', shape)], window, 2);
  g.output('y', y!);
  g.output('places', places!);
  const graph = g.build();
  const replaced = forWebgpu(graph);
  expect(replaced.nodes.filter((node) => node.outputs.length > 1)).toEqual([]);
  expect(replaced.outputs).toEqual(graph.outputs);
  const count = shape.reduce((a, b) => a * b);
  // Few different values, so that most windows have several maxima; all below zero, so that padding would be larger.
  const data = noise(count, 3, 2, -3).map(Math.round);
  const feeds = { x: { type: 'float32', shape, data } as const };
  expect(await runGraph(replaced, feeds)).toEqual(await runGraph(graph, feeds));
});

const VOLUMES: readonly [title: string, attributes: GivenAttributes<AttributesOf<'ConvTranspose'>>][] = [
  ['with strides', { strides: [2, 2, 1], pads: [1, 1, 1, 1, 1, 1], output_padding: [1, 0, 0] }],
  ['with gaps, in groups', { dilations: [2, 1, 2], pads: [0, 1, 0, 1, 2, 3], group: 2 }],
  ['with less than they reach cut off', { strides: [3, 1, 2], pads: [3, 0, 3, 0, 3, 0] }],
];

test.each(VOLUMES)('computes transposed convolutions of volumes %s', async (_, attributes) => {
  const { group = 1 } = attributes;
  const shapes = { x: [2, 4, 3, 4, 3], w: [4, 2, 3, 2, 3], b: [2 * group] };
  const g = new GraphBuilder('g');
  const inputs = Object.entries(shapes).map(([name, shape]) => g.input(name, 'float32', shape));
  g.output('y', g.add('ConvTranspose', inputs, { kernel_shape: [3, 2, 3], ...attributes }));
  const graph = g.build();
  const replaced = forWebgpu(graph);
  expect(replaced.nodes.map(({ operator }) => operator)).not.toContain('ConvTranspose');
  expect(replaced.outputs).toEqual(graph.outputs);
  const feeds = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => [
      name,
      {
        type: 'float32',
        shape,
        data: noise(
          shape.reduce((a, b) => a * b),
          i + 1,
        ),
      } as const,
    ]),
  );
  const [{ y: got }, { y: expected }] = [await runGraph(replaced, feeds), await runGraph(graph, feeds)];
  expect(got!.shape).toEqual(expected!.shape);
  expect(relativeError(got!.data as Float32Array, expected!.data as Float32Array)).toBeLessThan(1e-6);
});

test('slices by steps below -1 without a Slice by such steps', async () => {
  const g = new GraphBuilder('g');
  const x = g.input('x', 'float32', [3, 8, 7]);
  g.output('ragged', g.slice(x, [6, -1], [-9, -9], [1, 2], [-3, -2]));
  g.output('mixed', g.slice(x, [-1, 1, 5], [-4, 8, 0], [0, -2, -1], [-1, 3, -4]));
  const graph = g.build();
  const replaced = forWebgpu(graph);
  expect(replaced.outputs).toEqual(graph.outputs);
  expect(replaced.outputs.map(({ shape }) => shape)).toEqual([
    [3, 3, 4],
    [3, 3, 2],
  ]);
  const steps = replaced.nodes
    .filter(({ operator }) => operator === 'Slice')
    .map(({ inputs }) => Number(replaced.initializers.get(inputs[4]!)!.data[0]));
  expect(steps).toEqual([-1, 3]);
  const feeds = { x: { type: 'float32', shape: [3, 8, 7], data: noise(3 * 8 * 7, 1) } as const };
  expect(await runGraph(replaced, feeds)).toEqual(await runGraph(graph, feeds));
});
