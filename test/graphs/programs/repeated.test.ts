import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { repeated } from '../../../graphs/programs/repeated.js';
import { runGraph } from '../run.js';

test('a repeated step hands on what has a next value, and lists all else by step', async () => {
  const g = new GraphBuilder('step');
  const [sum, term] = [g.input('sum', 'float32', [2]), g.input('term', 'float32', [2])];
  const next = g.add('Add', [sum, term]);
  g.output('sum.next', next);
  g.output('product', g.add('Mul', [next, term]));

  const { 'sum.last': last, 'product.steps': products } = await runGraph(repeated(g.build()), {
    steps: { type: 'int64', shape: [], data: BigInt64Array.of(3n) },
    'sum.first': { type: 'float32', shape: [2], data: Float32Array.of(10, 20) },
    'term.steps': { type: 'float32', shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
  });
  expect([...(last!.data as Float32Array)]).toEqual([19, 32]);
  expect(products!.shape).toEqual([3, 2]);
  expect([...(products!.data as Float32Array)]).toEqual([11, 44, 42, 104, 95, 192]);
});
