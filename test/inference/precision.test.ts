import { expect, test } from 'vitest';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { toModel } from '../../graphs/onnx/model.js';
import { checkPrecision, comparePrecisions, withPrecision } from '../../src/inference/precision.js';
import type { EngineTensor } from '../../src/runtime/engine.js';
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

/** `probabilities` = x + offset, and `sure` = x. */
function classifier(offset: number) {
  const g = new GraphBuilder('classifier');
  const x = g.input('x', 'float32', [1, 1, 2, 2, 2]);
  g.output('sure', g.add('Neg', [x]));
  g.output('probabilities', g.add('Add', [x, g.scalar(offset)]));
  return toModel(g.build());
}

test('the output that differs most decides, and probabilities that cross a half are counted', async () => {
  const images = [image(0.45), image(0.9), image(0.2), image(0.55)];
  const report = await comparePrecisions(classifier(0), classifier(0.1), images, nodeEngine, 1);
  expect(report.changedDecisions).toBe(0.25);
  expect(report.error).toBeGreaterThan(0.1);
});

test('ranges of integers are those of all calibration images, whatever their order', async () => {
  const g = new GraphBuilder('wide');
  const x = g.input('x', 'float32', [1, 1, 4, 4, 4]);
  const kernel = g.initializer('w', { type: 'float32', shape: [1, 1, 1, 1, 1], data: Float32Array.of(1) });
  g.output('y', g.add('Relu', [g.add('Conv', [x, kernel], { kernel_shape: [1, 1, 1] })]));
  const model = toModel(g.build());
  const ramp = (most: number): EngineTensor => ({
    type: 'float32',
    shape: [1, 1, 4, 4, 4],
    data: Float32Array.from({ length: 64 }, (_, i) => (most * i) / 63),
  });
  for (const images of [
    [ramp(1), ramp(4)],
    [ramp(4), ramp(1)],
  ]) {
    const int8 = await withPrecision(model, 'int8', images, nodeEngine, 1);
    // Clipped at 1, the values of the larger one would be off by half.
    expect((await comparePrecisions(model, int8, [ramp(4)], nodeEngine, 1)).error).toBeLessThan(0.02);
  }
});
