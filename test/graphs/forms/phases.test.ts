import { expect, test } from 'vitest';
import { interleaved, phasesOf } from '../../../graphs/forms/reference/phases.js';
import { repeatVoxels, upsampleNearest } from '../../../graphs/onnx/blocks.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { knownShape, sizeOf, type Value } from '../../../graphs/onnx/types.js';
import { runGraph } from '../run.js';

/** What a graph makes of 0, 1, 2, … */
async function ofNumbers(shape: readonly number[], build: (g: GraphBuilder, x: Value) => Value) {
  const g = new GraphBuilder('numbers');
  const y = build(g, g.input('x', 'float32', shape));
  g.output('y', y);
  const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i);
  const result = await runGraph(g.build(), { x: { type: 'float32', shape, data } });
  expect(result.y!.shape).toEqual(knownShape(y.shape, 'a test'));
  return result.y!;
}

test('phases have every stride-th value along each axis', async () => {
  const { shape, data } = await ofNumbers([1, 1, 4, 6], (g, x) => phasesOf(g, x, [2, 3]));
  expect(shape).toEqual([1, 1, 2, 3, 2, 2]);
  const at = (row: number, column: number) => 6 * row + column;
  const expected = [0, 1].flatMap((i) =>
    [0, 1, 2].flatMap((j) => [at(i, j), at(i, j + 3), at(i + 2, j), at(i + 2, j + 3)]),
  );
  expect([...(data as Float32Array)]).toEqual(expected);
});

test.each([
  [[2, 3, 12], [3]],
  [
    [1, 2, 6, 4],
    [1, 2],
  ],
  [
    [2, 3, 4, 6, 5],
    [2, 3, 1],
  ],
])('phases of %s by %s are put together again', async (shape, strides) => {
  const { data } = await ofNumbers(shape, (g, x) => interleaved(g, phasesOf(g, x, strides)));
  expect([...(data as Float32Array)]).toEqual(Array.from({ length: sizeOf(shape) }, (_, i) => i));
});

test.each([
  [[2, 3, 4], [3]],
  [
    [1, 2, 3, 2],
    [1, 2],
  ],
  [
    [2, 3, 2, 3, 4],
    [2, 1, 3],
  ],
])('voxels of %s repeated %s times are the nearest up-sampling', async (shape, factors) => {
  const [repeated, resized] = [
    await ofNumbers(shape, (g, x) => repeatVoxels(g, x, factors)),
    await ofNumbers(shape, (g, x) => upsampleNearest(g, x, factors)),
  ];
  expect(repeated).toEqual(resized);
});
