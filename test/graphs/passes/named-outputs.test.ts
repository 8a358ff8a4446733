import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { withNamedOutputs } from '../../../graphs/passes/named-outputs.js';
import { runGraph } from '../run.js';

test('the node that makes an output names it, unless its name is needed', async () => {
  const g = new GraphBuilder('outputs');
  const x = g.input('x', 'float32', [2]);
  const doubled = g.add('Add', [x, x]);
  g.output('doubled', doubled);
  g.output('again', doubled);
  g.output('square', g.add('Mul', [doubled, doubled]));
  g.output('copy', x);
  const graph = withNamedOutputs(g.build());

  // A value has one name, and an input keeps its own.
  expect(graph.nodes.map(({ operator }) => operator)).toEqual(['Add', 'Identity', 'Mul', 'Identity']);
  const found = await runGraph(graph, { x: { type: 'float32', shape: [2], data: Float32Array.of(1, 3) } });
  expect(
    Object.fromEntries(Object.entries(found).map(([name, { data }]) => [name, [...(data as Float32Array)]])),
  ).toEqual({
    doubled: [2, 6],
    again: [2, 6],
    square: [4, 36],
    copy: [1, 3],
  });
});
