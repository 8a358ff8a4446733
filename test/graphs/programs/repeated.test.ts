import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { repeated } from '../../../graphs/programs/repeated.js';
import { runGraph } from '../run.js';

test('a repeated step hands on what has a next value, shares other state, and lists all else by step', async () => {
  const g = new GraphBuilder('step');
  const [sum, term] = [g.input('sum', 'float32', [2]), g.input('term', 'float32', [2])];
  const factor = g.input('factor', 'float32', []);
  const next = g.add('Add', [sum, g.add('Mul', [term, factor])]);
  g.output('sum.next', next);
  g.output('product', g.add('Mul', [next, term]));

  const { 'sum.last': last, 'product.steps': products } = await runGraph(
    repeated(g.build(), new Set(['sum', 'factor'])),
    {
      steps: { type: 'int64', shape: [], data: BigInt64Array.of(3n) },
      factor: { type: 'float32', shape: [], data: Float32Array.of(2) },
      'sum.first': { type: 'float32', shape: [2], data: Float32Array.of(10, 20) },
      'term.steps': { type: 'float32', shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    },
  );
  expect([...(last!.data as Float32Array)]).toEqual([28, 44]);
  expect(products!.shape).toEqual([3, 2]);
  expect([...(products!.data as Float32Array)]).toEqual([12, 48, 54, 128, 140, 264]);
});
