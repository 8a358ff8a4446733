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

test('it lies in the middle of its window, and is enlarged to as many voxels', () => {
  const window = { size: [8, 8, 4], first: [10, 20, 30], step: [1, 1, 2] } as const;
  const { size, first, step } = middlePart(window, 0.5);
  expect(size).toEqual([8, 8, 4]);
  expect(step).toEqual([0.5, 0.5, 1]);
  const middleOf = (from: readonly number[], by: readonly number[]) =>
    from.map((start, i) => start + (by[i]! * (size[i]! - 1)) / 2);
  expect(middleOf(first, step)).toEqual(middleOf(window.first, window.step));
  expect(middlePart(window, 1)).toEqual(window);
});
