import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { bodiesOf } from '../../../graphs/onnx/registry.js';
import type { Graph } from '../../../graphs/onnx/types.js';
import { withShortNames } from '../../../graphs/passes/short-names.js';
import { repeated } from '../../../graphs/programs/repeated.js';
import { runGraph } from '../run.js';

const made = ({ nodes }: Graph): string[] =>
  nodes.flatMap((node) => [...node.outputs, ...bodiesOf(node).flatMap(made)]);

test('a graph of short names computes the same, in its bodies too, under the inputs and outputs that it had', async () => {
  const g = new GraphBuilder('step');
  // The first short name is taken.
  const [sum, term] = [g.input('sum', 'float32', [2]), g.input('0', 'float32', [2])];
  const product = g.scope('a/long/path', () => g.add('Mul', [term, g.floats([2, 3], [2])]));
  g.output('sum.next', g.add('Add', [sum, product]));
  const given = repeated(g.build(), new Set(['sum', '0']));
  const short = withShortNames(given);

  expect(short.inputs).toEqual(given.inputs);
  expect(short.outputs).toEqual(given.outputs);
  const names = made(short).filter((name) => !short.outputs.some((output) => output.name === name));
  expect(Math.max(...names.map((name) => name.length))).toBe(1);
  expect(new Set([...names, '0']).size).toBe(names.length + 1);
  const feeds = {
    steps: { type: 'int64', shape: [], data: BigInt64Array.of(2n) },
    '0': { type: 'float32', shape: [2], data: Float32Array.of(1, 10) },
    'sum.first': { type: 'float32', shape: [2], data: Float32Array.of(0, 1) },
  } as const;
  const { 'sum.last': last } = await runGraph(short, feeds);
  expect([...(last!.data as Float32Array)]).toEqual([4, 61]);
});
