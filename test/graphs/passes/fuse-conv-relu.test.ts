import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { Value } from '../../../graphs/onnx/types.js';
import { fuseConvRelu } from '../../../graphs/passes/fuse-conv-relu.js';
import { noise, relativeError, runGraph } from '../run.js';

const SHAPE = [1, 2, 4, 4, 4];

/** Relu(Conv(x)), with something else that reads the convolution. */
function graphWith(other: (g: GraphBuilder, conv: Value) => void, bias = true) {
  const g = new GraphBuilder('g');
  const x = g.input('x', 'float32', SHAPE);
  const w = g.initializer('w', { type: 'float32', shape: [2, 2, 1, 1, 1], data: noise(4, 1) });
  const b = g.initializer('b', { type: 'float32', shape: [2], data: noise(2, 2) });
  const conv = g.add('Conv', bias ? [x, w, b] : [x, w], { kernel_shape: [1, 1, 1] });
  g.output('y', g.add('Relu', [conv]));
  other(g, conv);
  return g.build();
}
const operatorsOf = (graph: ReturnType<typeof graphWith>) =>
  fuseConvRelu(graph).nodes.map(({ operator }) => operator);

test('a convolution and the ReLU behind it become one node, of the same result', async () => {
  const graph = graphWith(() => {});
  const fused = fuseConvRelu(graph);
  expect(fused.nodes.map(({ operator }) => operator)).toEqual(['ConvRelu', 'Identity']);
  expect([...fused.values.keys()]).not.toContain('Conv');
  const feeds = { x: { type: 'float32', shape: SHAPE, data: noise(128, 3) } } as const;
  const [before, after] = [await runGraph(graph, feeds), await runGraph(fused, feeds)];
  expect(relativeError(after.y!.data as Float32Array, before.y!.data as Float32Array)).toBe(0);
});

test.each([
  ['another node', (g: GraphBuilder, conv: Value) => g.output('z', g.add('Neg', [conv]))],
  ['an output of the graph', (g: GraphBuilder, conv: Value) => g.output(conv.name, conv)],
  [
    'a body',
    (g: GraphBuilder, conv: Value) => {
      const branch = (name: string) => {
        const body = new GraphBuilder(name, { outer: g });
        body.output(`${name}.y`, body.add('Neg', [conv]));
        return body.build();
      };
      const attributes = { then_branch: branch('then'), else_branch: branch('else') };
      g.output('z', g.add('If', [g.input('yes', 'bool', [])], attributes));
    },
  ],
])('a convolution that %s reads too stays', (_, other) => {
  expect(operatorsOf(graphWith(other))).toContain('Conv');
});

test('a convolution without a bias stays', () => {
  expect(operatorsOf(graphWith(() => {}, false))).toContain('Conv');
});
