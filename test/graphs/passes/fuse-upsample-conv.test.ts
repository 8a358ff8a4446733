import { expect, test } from 'vitest';
import { fastForms } from '../../../graphs/forms/index.js';
import { upsampleNearest } from '../../../graphs/onnx/blocks.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { Value } from '../../../graphs/onnx/types.js';
import { fuseUpsampleConv } from '../../../graphs/passes/fuse-upsample-conv.js';
import { noise, relativeError, runGraph } from '../run.js';

const SHAPE = [1, 2, 4, 4, 4];
const SAME = { kernel_shape: [3, 3, 3], pads: [1, 1, 1, 1, 1, 1] };

interface Changes {
  readonly factors?: readonly number[];
  readonly window?: { readonly kernel_shape: readonly number[]; readonly pads?: readonly number[] };
  readonly other?: (g: GraphBuilder, larger: Value) => void;
}

function graphWith({ factors = [2, 2, 2], window = SAME, other }: Changes = {}) {
  const g = new GraphBuilder('g');
  const larger = upsampleNearest(g, g.input('x', 'float32', SHAPE), factors);
  const shape = [3, 2, ...window.kernel_shape];
  const w = g.initializer('w', {
    type: 'float32',
    shape,
    data: noise(
      shape.reduce((a, b) => a * b),
      1,
    ),
  });
  const b = g.initializer('b', { type: 'float32', shape: [3], data: noise(3, 2) });
  g.output('y', g.add('Relu', [g.add('Conv', [larger, w, b], window)]));
  other?.(g, larger);
  return g.build();
}
const operatorsOf = (graph: ReturnType<typeof graphWith>) =>
  fuseUpsampleConv(graph).nodes.map(({ operator }) => operator);

test('up-sampling and the convolution behind it become one node, of the same result', async () => {
  const graph = graphWith();
  expect(operatorsOf(graph)).toEqual(['UpsampleConv', 'Relu', 'Identity']);
  expect([...fuseUpsampleConv(graph).values.keys()]).not.toContain('Resize');
  const feeds = { x: { type: 'float32', shape: SHAPE, data: noise(128, 3) } } as const;
  const [before, after] = [
    await runGraph(graph, feeds),
    await runGraph(fuseUpsampleConv(graph), feeds, fastForms),
  ];
  expect(relativeError(after.y!.data as Float32Array, before.y!.data as Float32Array)).toBeLessThan(1e-5);
});

test.each<[string, Changes]>([
  ['other factors', { factors: [1, 2, 2] }],
  ['another kernel', { window: { kernel_shape: [1, 1, 1] } }],
  ['a convolution that makes less', { window: { kernel_shape: [3, 3, 3] } }],
  ['another reader', { other: (g, larger) => g.output('z', g.add('Neg', [larger])) }],
  ['an output of the graph', { other: (g, larger) => g.output(larger.name, larger) }],
])('%s: both stay', (_, changes) => {
  expect(operatorsOf(graphWith(changes)).slice(0, 2)).toEqual(['Resize', 'Conv']);
});
