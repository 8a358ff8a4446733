import { expect, test } from 'vitest';
import { withMetadata } from '../../graphs/imported/metadata.js';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { toModel } from '../../graphs/onnx/model.js';
import { decodeModel, encodeModel } from '../../graphs/onnx/schema.js';
import { runSelfTest, sealed, withFormerSelfTest, withSelfTest } from '../../src/inference/self-test.js';
import { nodeEngine } from '../../src/runtime/node.js';

const SIZE = 48;

/** A model of fixed sizes that multiplies an image. */
function multiplied(factor: number, size = SIZE) {
  const g = new GraphBuilder('multiplied');
  const image = g.input('image', 'float32', [1, 1, size, size, size]);
  g.output('probabilities', g.add('Mul', [image, g.scalar(factor)]));
  return toModel(g.build());
}

const run = (bytes: Uint8Array) => runSelfTest(decodeModel(bytes), bytes, nodeEngine, 'the model');

test('a large image and a large output are stored in part, which tells other outputs apart', async () => {
  const tested = await withSelfTest(multiplied(2), nodeEngine);
  const { self_test } = tested.metadata;
  expect(self_test!.length).toBeLessThan(2 ** 20);
  const { input, outputs } = JSON.parse(self_test!);
  expect(input.shape).toEqual([1, 1, SIZE, SIZE, SIZE]);
  expect(outputs.probabilities.every).toBe(2);

  expect((await run(encodeModel(tested)))!.errors.probabilities).toBe(0);
  const other = { ...multiplied(2.5), metadata: { self_test: self_test! } };
  expect((await run(encodeModel(other)))!.errors.probabilities).toBeCloseTo(0.25);
});

test('a large image that is stored as a whole, as earlier versions did, is taken as it is', async () => {
  const tested = await withSelfTest(multiplied(2), nodeEngine);
  const { input, outputs, ...others } = JSON.parse(tested.metadata.self_test!);
  const values = Float32Array.from({ length: SIZE ** 3 }, (_, i) => i % 100);
  const base64 = (of: Float32Array) => Buffer.from(of.buffer).toString('base64');
  const { every: _, ...output } = outputs.probabilities;
  const earlier = {
    ...others,
    input: { ...input, data: base64(values) },
    outputs: { probabilities: { ...output, data: base64(values.map((value) => 2 * value)) } },
  };
  const bytes = encodeModel({ ...tested, metadata: { self_test: JSON.stringify(earlier) } });
  expect((await run(bytes))!.errors.probabilities).toBe(0);
});

test('values of another number than there should be are damage', async () => {
  const tested = await withSelfTest(multiplied(2), nodeEngine);
  const whole = JSON.parse(tested.metadata.self_test!);
  const changed = (outputs: object) =>
    encodeModel({
      ...tested,
      metadata: { self_test: JSON.stringify({ ...whole, outputs: { probabilities: outputs } }) },
    });
  await expect(run(changed({ ...whole.outputs.probabilities, every: 3 }))).rejects.toThrow('is damaged');
  const shape = [1, 1, SIZE, SIZE, SIZE / 2];
  expect((await run(changed({ ...whole.outputs.probabilities, shape })))!.errors.probabilities).toBe(
    Number.POSITIVE_INFINITY,
  );
});

test('a model with other weights is tested with what it gives now, and sealed', async () => {
  const { metadata } = await withSelfTest(multiplied(2, 8), nodeEngine);
  const trained = encodeModel(multiplied(3, 8));
  const renewed = await withFormerSelfTest(trained, metadata, nodeEngine, 'the model');
  expect(await run(renewed)).toEqual({ errors: { probabilities: 0 }, tolerance: 1e-3 });
  expect(JSON.parse(decodeModel(renewed).metadata.self_test!).input).toEqual(
    JSON.parse(metadata.self_test!).input,
  );
  await expect(run(withMetadata(renewed, { author: 'somebody' }))).rejects.toThrow('another digest');
  expect(await withFormerSelfTest(trained, {}, nodeEngine, 'the model')).toBe(trained);
  expect(sealed(renewed)).toEqual(renewed);
});
