import { expect, test } from 'vitest';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { toModel } from '../../graphs/onnx/model.js';
import { checkPrecision, comparePrecisions } from '../../src/inference/precision.js';
import { nodeEngine } from '../../src/runtime/node.js';

/** y = x + offset, of images [1,1,2,2,2]. */
function model(offset: number) {
  const g = new GraphBuilder('offset');
  g.output('y', g.add('Add', [g.input('x', 'float32', [1, 1, 2, 2, 2]), g.scalar(offset)]));
  return toModel(g.build());
}
const image = (value: number) =>
  ({ type: 'float32', shape: [1, 1, 2, 2, 2], data: new Float32Array(8).fill(value) }) as const;

test('an image whose outputs are zeros is measured by those of all images', async () => {
  const report = await comparePrecisions(model(0), model(0.01), [image(0), image(2)], nodeEngine, 1);
  expect(report.error).toBeCloseTo(0.01 / Math.sqrt(2), 7);
});

test('an image that is worse than the others decides', async () => {
  const report = await comparePrecisions(model(0), model(0.01), [image(-0.02), image(3)], nodeEngine, 1);
  expect(report.error).toBeCloseTo(0.01 / Math.sqrt((0.02 ** 2 + 9) / 2), 7);
  expect(() => checkPrecision({ ...report, precision: 'float16' }, 0.001)).toThrow(
    /the float16 model differs too much[\s\S]*of 0\.00471 on 2 images[\s\S]*use float32, or raise --max-error/,
  );
});

test('outputs that are no numbers are infinitely far away', async () => {
  const report = await comparePrecisions(model(0), model(Number.NaN), [image(1)], nodeEngine, 1);
  expect(report.error).toBe(Number.POSITIVE_INFINITY);
});
