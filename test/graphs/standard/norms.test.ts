import { expect, test } from 'vitest';
import { backward } from '../../../graphs/autodiff/backward.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { Attribute } from '../../../graphs/onnx/types.js';
import { translate } from '../../../graphs/standard/index.js';
import { runGraph } from '../run.js';
import { int, ints } from './as-it-is.js';

test.each<[operator: string, attributes: Record<string, Attribute>]>([
  ['ReduceL2', {}],
  ['LpNormalization', { p: int(2) }],
  ['LpNormalization', { p: int(1) }],
  ['LpPool', { kernel_shape: ints(2), p: int(3) }],
  ['GlobalLpPool', {}],
])('%s %j of zeros, as behind a ReLU, has a gradient that is a number', async (operator, attributes) => {
  const g = new GraphBuilder('norm');
  const x = g.input('x', 'float32', [1, 2, 4]);
  const node = { name: 'norm', operator, domain: '', inputs: ['x'], outputs: ['y'], attributes };
  const y = translate(g, node, [x], 18)[0]!;
  g.output('dx', backward(g, g.sum(y, [...y.shape.keys()], 0), [x])[0]!);
  const zeros = { type: 'float32' as const, shape: [1, 2, 4], data: new Float32Array(8) };
  const { dx } = await runGraph(g.build(), { x: zeros });
  expect([...dx!.data].every(Number.isFinite)).toBe(true);
});
