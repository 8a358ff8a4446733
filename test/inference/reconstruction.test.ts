import { expect, test } from 'vitest';
import type { ImageModel } from '../../src/inference/image-model.js';
import { middlePart, partSide } from '../../src/inference/reconstruction.js';

const model = (metadata: Record<string, string>) => ({ metadata, path: 'm.onnx' }) as unknown as ImageModel;

test('the part of a whole has the mean size of those in training', () => {
  // Of the volume: from a sixteenth to a quarter, as in the paper.
  expect(partSide(model({ part: '{"scale":[0.0625,0.25]}' })) ** 3).toBeCloseTo(0.15625, 12);
  expect(partSide(model({}))).toBe(1);
  expect(() => partSide(model({ part: '{"scale":[0,2]}' }))).toThrow(
    /metadata of the model are damaged: part/,
  );
});

test('it lies in the middle of its window, of whole voxels as in training', () => {
  expect(middlePart([8, 8, 4], 0.5)).toEqual({ start: [2, 2, 1], size: [4, 4, 2] });
  expect(middlePart([32, 32, 16], 0.54)).toEqual({ start: [7, 7, 3], size: [17, 17, 9] });
  expect(middlePart([1, 2, 3], 0.1)).toEqual({ start: [0, 0, 1], size: [1, 1, 1] });
});
