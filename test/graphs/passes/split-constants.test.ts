import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { TYPE_CODES } from '../../../graphs/onnx/types.js';
import { splitConstants } from '../../../graphs/passes/split-constants.js';
import { noise, runGraph } from '../run.js';

const tensor = (shape: readonly number[], seed: number) => {
  const size = shape.reduce((a, b) => a * b, 1);
  return { type: 'float32', shape, data: noise(size, seed) } as const;
};

/** x·(2w)ᵀ + b + 15, where 15 is computed of integers, and −w. */
function network() {
  const g = new GraphBuilder('g');
  const x = g.input('x', 'float32', [3, 4]);
  const w = g.initializer('w', tensor([5, 4], 1));
  const doubled = g.add('Mul', [w, g.scalar(2)]);
  const product = g.add('MatMul', [x, g.transpose(doubled, [1, 0])]);
  const biased = g.add('Add', [product, g.initializer('b', tensor([5], 2))]);
  const count = g.add('Add', [g.integers([14]), g.integers([1])]);
  g.output('y', g.add('Add', [biased, g.add('Cast', [count], { to: TYPE_CODES.float32 })]));
  g.output('z', g.add('Neg', [w]));
  return g.build();
}

test('both parts together give what the graph gave, and stored tensors that are rearranged are in neither', async () => {
  const graph = network();
  const { constants, stored, rest } = splitConstants(graph);
  const feeds = { x: tensor([3, 4], 3) };
  const arranged = await runGraph(constants, Object.fromEntries(stored));
  const [whole, inTwo] = [await runGraph(graph, feeds), await runGraph(rest, { ...feeds, ...arranged })];
  expect(inTwo).toEqual(whole);

  expect([...stored.keys()]).toContain('w');
  expect(constants.initializers.has('w')).toBe(false);
  expect(constants.nodes.map(({ operator }) => operator)).toEqual(['Mul', 'Transpose', 'Neg']);
  expect(rest.nodes.map(({ operator }) => operator)).not.toContain('Transpose');
  expect(rest.initializers.has('b')).toBe(true);
});

test('what only the constants read is not stored in the rest, and integers stay there', () => {
  const { rest } = splitConstants(network());
  expect(rest.inputs[0]!.name).toBe('x');
  expect(rest.inputs.every(({ type }) => type === 'float32')).toBe(true);
  expect(rest.outputs.map(({ name }) => name)).toEqual(['y', 'z']);
});

test('a graph without anything to compute beforehand stays as it is', async () => {
  const g = new GraphBuilder('g');
  g.output('y', g.add('Add', [g.input('x', 'float32', [4]), g.initializer('b', tensor([4], 1))]));
  const graph = g.build();
  const { constants, rest } = splitConstants(graph);
  expect(constants.nodes).toEqual([]);
  expect(rest.nodes).toEqual(graph.nodes);
  expect(rest.inputs).toEqual(graph.inputs);
});
