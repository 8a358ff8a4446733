import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { summarize } from '../../../graphs/onnx/summary.js';

test('values in another shape neither cost operations nor bytes', () => {
  const g = new GraphBuilder('views');
  const x = g.input('x', 'float32', [2, 3]);
  const flat = g.add('Reshape', [g.add('Relu', [x]), g.integers([6])]);
  g.output('y', g.add('Identity', [g.add('Unsqueeze', [flat, g.integers([0])])]));
  expect(summarize(g.build())).toMatchObject({ flops: 6, activationBytes: 6 * 4 });
});
