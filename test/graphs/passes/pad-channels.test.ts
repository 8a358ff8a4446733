import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { Value } from '../../../graphs/onnx/types.js';
import { padChannels } from '../../../graphs/passes/pad-channels.js';
import { noise, relativeError, runGraph } from '../run.js';

const SHAPE = [1, 2, 4, 4, 4];

/** A convolution of `channels` outputs, a second one of its result, and something else that reads it. */
function graphWith(channels: number, other: (g: GraphBuilder, first: Value) => void = () => {}) {
  const g = new GraphBuilder('g');
  const conv = (name: string, x: Value, outputs: number) => {
    const inputs = x.shape[1] as number;
    const w = {
      type: 'float32',
      shape: [outputs, inputs, 3, 3, 3],
      data: noise(outputs * inputs * 27, 1),
    } as const;
    const b = { type: 'float32', shape: [outputs], data: noise(outputs, 2) } as const;
    const operands = [x, g.initializer(`${name}.weight`, w), g.initializer(`${name}.bias`, b)];
    return g.add('ConvRelu', operands, { kernel_shape: [3, 3, 3], pads: [1, 1, 1, 1, 1, 1] });
  };
  const first = conv('first', g.input('x', 'float32', SHAPE), channels);
  g.output('y', conv('second', first, 5));
  other(g, first);
  return g.build();
}
const shapeOf = (graph: ReturnType<typeof graphWith>, name: string) => graph.initializers.get(name)!.shape;

test('channels up to a whole block are zeros, and change no result', async () => {
  const graph = graphWith(3);
  const larger = padChannels(graph, 8);
  expect(shapeOf(larger, 'first.weight')).toEqual([8, 2, 3, 3, 3]);
  expect(shapeOf(larger, 'first.bias')).toEqual([8]);
  expect(shapeOf(larger, 'second.weight')).toEqual([5, 8, 3, 3, 3]);
  expect(shapeOf(larger, 'second.bias')).toEqual([5]);
  const feeds = { x: { type: 'float32', shape: SHAPE, data: noise(128, 3) } } as const;
  const [before, after] = [await runGraph(graph, feeds), await runGraph(larger, feeds)];
  expect(after.y!.shape).toEqual(before.y!.shape);
  expect(relativeError(after.y!.data as Float32Array, before.y!.data as Float32Array)).toBeLessThan(1e-6);
});

test.each([
  ['that fill a block', graphWith(8)],
  ['that something else reads too', graphWith(3, (g, first) => g.output('z', g.add('Neg', [first])))],
  ['that are an output', graphWith(3, (g, first) => g.output('z', first))],
])('channels %s stay', (_, graph) => {
  expect(padChannels(graph, 8).initializers).toEqual(graph.initializers);
});
