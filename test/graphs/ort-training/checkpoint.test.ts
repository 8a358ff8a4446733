import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GraphError } from '../../../graphs/onnx/types.js';
import {
  decodeCheckpoint,
  encodeCheckpoint,
  type NamedTensor,
  type OnDeviceCheckpoint,
} from '../../../graphs/ort-training/checkpoint.js';

const tensor: fc.Arbitrary<NamedTensor> = fc
  .tuple(fc.string({ minLength: 1 }), fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }))
  .map(([name, shape]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return { name, shape, data: Float32Array.from({ length: size }, (_, i) => Math.sin(i + size)) };
  });
const checkpoint: fc.Arbitrary<OnDeviceCheckpoint> = fc.record({
  trainable: fc.array(tensor, { maxLength: 5 }),
  frozen: fc.array(tensor, { maxLength: 3 }),
  optimizer: fc.option(
    fc.record({
      step: fc.nat(),
      moments: fc.array(
        fc.record({ parameter: fc.string({ minLength: 1 }), tensors: fc.array(tensor, { maxLength: 2 }) }),
        { maxLength: 3 },
      ),
    }),
  ),
});

test('what is written is read again, to the bit', () => {
  fc.assert(
    fc.property(checkpoint, (content) => {
      expect(decodeCheckpoint(encodeCheckpoint(content))).toEqual(content);
    }),
    { numRuns: 100 },
  );
});

test('a damaged file is refused, or read as another one; it never crashes', () => {
  const refusal = (file: Uint8Array) => {
    try {
      decodeCheckpoint(file);
    } catch (error) {
      expect(error).toBeInstanceOf(GraphError);
    }
  };
  fc.assert(
    fc.property(checkpoint, fc.nat(), fc.nat({ max: 255 }), (content, place, value) => {
      const file = encodeCheckpoint(content).slice();
      refusal(file.subarray(0, place % file.length));
      file[place % file.length] = value;
      refusal(file);
    }),
    { numRuns: 300 },
  );
});

test.each([
  ['an empty file', new Uint8Array(), /not an ONNX Runtime checkpoint/],
  ['another file', new TextEncoder().encode('{"format": "safetensors"}'), /not an ONNX Runtime checkpoint/],
])('%s is said to be none', (_, file, message) => {
  expect(() => decodeCheckpoint(file)).toThrow(message);
});
