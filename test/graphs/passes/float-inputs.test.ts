import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { floatInputs } from '../../../graphs/passes/float-inputs.js';
import { runGraph } from '../run.js';

/** Cuts before it casts. */
function graph() {
  const g = new GraphBuilder('g');
  const hu = g.input('hu', 'int16', [4]);
  const mask = g.input('mask', 'uint8', [2]);
  const label = g.input('label', 'int32', [2]);
  const floats = [g.slice(hu, [1], [3], [0]), mask, label].map((v) => g.add('Cast', [v], { to: 1 }));
  g.output(
    'sum',
    floats.reduce((a, b) => g.add('Add', [a, b])),
  );
  return g.build();
}

test('takes floats in place of int16 and uint8, and gives the same', async () => {
  const floats = floatInputs(graph());
  expect(floats.inputs.map(({ name, type }) => [name, type])).toEqual([
    ['hu', 'float32'],
    ['mask', 'float32'],
    ['label', 'int32'],
  ]);
  expect(floats.values.get('Slice')!.type).toBe('float32');
  const label = { type: 'int32', shape: [2], data: Int32Array.of(10, 20) } as const;
  const expected = await runGraph(graph(), {
    hu: { type: 'int16', shape: [4], data: Int16Array.of(-1000, 5, -7, 400) },
    mask: { type: 'uint8', shape: [2], data: Uint8Array.of(1, 255) },
    label,
  });
  const got = await runGraph(floats, {
    hu: { type: 'float32', shape: [4], data: Float32Array.of(-1000, 5, -7, 400) },
    mask: { type: 'float32', shape: [2], data: Float32Array.of(1, 255) },
    label,
  });
  expect(got.sum).toEqual(expected.sum);
});

test('refuses a graph that computes with the integers', () => {
  const g = new GraphBuilder('g');
  const hu = g.input('hu', 'int16', [2]);
  const limit = g.constant({ type: 'int16', shape: [], data: Int16Array.of(3) });
  g.output('y', g.add('Max', [hu, limit]));
  expect(() => floatInputs(g.build())).toThrow(/Max at "Max".*different element types/);
});
