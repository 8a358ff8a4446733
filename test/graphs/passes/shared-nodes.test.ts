import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { Graph, Node, Value } from '../../../graphs/onnx/types.js';
import { withSharedNodes } from '../../../graphs/passes/shared-nodes.js';
import { repeated } from '../../../graphs/programs/repeated.js';
import { runGraph } from '../run.js';

const operators = ({ nodes }: Graph) => nodes.map(({ operator }) => operator);

test('what is made of equal values in an equal way is made once', async () => {
  const g = new GraphBuilder('equal');
  const x = g.input('x', 'float32', [2, 2]);
  const root = (perm: readonly number[]) => g.add('Sqrt', [g.transpose(x, perm)]);
  g.output('twice', g.add('Add', [root([1, 0]), root([1, 0])]));
  // Another attribute makes another value.
  g.output('other', g.add('Sub', [root([1, 0]), root([0, 1])]));
  const shared = withSharedNodes(g.build());
  expect(operators(shared).toSorted()).toEqual(
    ['Transpose', 'Sqrt', 'Add', 'Identity', 'Transpose', 'Sqrt', 'Sub', 'Identity'].toSorted(),
  );
  const { twice, other } = await runGraph(shared, {
    x: { type: 'float32', shape: [2, 2], data: Float32Array.of(1, 4, 9, 16) },
  });
  expect([...(twice!.data as Float32Array)]).toEqual([2, 6, 4, 8]);
  expect([...(other!.data as Float32Array)]).toEqual([0, 1, -1, 0]);
});

test('large results, outputs and what a body reads stay by themselves', () => {
  const g = new GraphBuilder('kept');
  const [x, large] = [g.input('x', 'float32', [2]), g.input('large', 'float32', [2 ** 14 + 1])];
  for (const name of ['a', 'b']) g.output(name, x);
  g.output('sum', g.add('Add', [g.add('Relu', [large]), g.add('Relu', [large])]));
  expect(operators(withSharedNodes(g.build()))).toEqual(operators(g.build()));

  const step = new GraphBuilder('step');
  const [sum, factor] = [step.input('sum', 'float32', [2]), step.input('factor', 'float32', [2])];
  step.output('sum.next', step.add('Mul', [sum, factor]));
  const loop = repeated(step.build(), new Set(['sum', 'factor']));
  // Two equal roots, of which the loop's body reads the second.
  const square: Value = { name: 'square', type: 'float32', shape: [2] };
  const roots = ['root', 'factor'].map(
    (name): Node => ({
      name,
      operator: 'Sqrt',
      domain: '',
      inputs: ['square'],
      outputs: [name],
      attributes: {},
    }),
  );
  const around: Graph = {
    ...loop,
    inputs: [...loop.inputs.filter(({ name }) => name !== 'factor'), square],
    nodes: [...roots, ...loop.nodes],
    values: new Map([...loop.values, ['root', { ...square, name: 'root' }]]),
  };
  expect(operators(withSharedNodes(around))).toEqual(['Sqrt', 'Sqrt', 'Loop']);
});
