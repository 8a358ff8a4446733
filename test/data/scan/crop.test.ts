import { expect, test } from 'vitest';
import { cropAround, cropImage, cropMask, middleOf } from '../../../src/data/scan/crop.js';
import type { Volume } from '../../../src/data/scan/volume.js';
import { noiseVolume } from '../store/tiles-sample.js';

/** Five voxels in a row, between whose middles a grid lies. */
const grid = { size: [4, 1, 1], first: [0.6, 0, 0], step: [1.1, 1, 1] } as const;
const voxels = Int16Array.of(0, 100, 200, 300, 400);

test('a mask on another grid has the labels of the nearest voxels, and none outside', () => {
  const labels = Uint8Array.of(1, 2, 3, 4, 5);
  // 0.6, 1.7, 2.8 and 3.9 voxels from the first.
  expect([...cropMask({ voxels: labels, size: [5, 1, 1] }, grid)]).toEqual([2, 3, 4, 5]);
  const beyond = { ...grid, first: [2.6, 0, 0] as const };
  expect([...cropMask({ voxels: labels, size: [5, 1, 1] }, beyond)]).toEqual([4, 5, 0, 0]);
});

/** A ball in the middle of a cube, or a block in its corner, as an image and as a mask. */
const shapes = {
  ball: (n: number) => (place: number[]) => Math.hypot(...place.map((p) => p - (n - 1) / 2)) < n / 4,
  block: (n: number) => (place: number[]) => place.every((p) => p < n / 2),
};

test.each([
  ['ball', 16, 8, 2],
  ['ball', 32, 8, 4],
  ['ball', 17, 16, 1],
  ['ball', 17, 16, 1.003],
  ['block', 16, 8, 2],
  ['ball', 15, 10, 1.5],
] as const)(
  'a mask of a %s of %i voxels lies where its image does on a grid of %i voxels of %f mm',
  (shape, n, wanted, mm) => {
    const size = [n, n, n] as const;
    const isInside = shapes[shape](n);
    const labels = Uint8Array.from({ length: n ** 3 }, (_, i) =>
      Number(isInside([i % n, Math.floor(i / n) % n, Math.floor(i / n ** 2)])),
    );
    const scan = { spacing: [1, 1, 1] as const, size };
    const crop = cropAround(scan, middleOf(scan), [wanted, wanted, wanted], [mm, mm, mm]);
    const image = cropImage({ voxels: Float32Array.from(labels), size }, crop, 0);
    const mask = cropMask({ voxels: labels, size }, crop);
    const centre = (values: ArrayLike<number>, stride: number) => {
      let [sum, total] = [0, 0];
      for (let i = 0; i < values.length; i++) {
        sum += values[i]! * (Math.floor(i / stride) % wanted);
        total += values[i]!;
      }
      return sum / total;
    };
    for (const stride of [1, wanted, wanted ** 2])
      expect(Math.abs(centre(image, stride) - centre(mask, stride))).toBeLessThan(0.02);
  },
);

test('an axis of the wanted spacing is cut, not resampled', () => {
  const size = [17, 17, 17] as const;
  const noise = noiseVolume(size, 1);
  const scan = { ...noise, spacing: [1, 0.995, 2] as const };
  const crop = cropAround(scan, middleOf(scan), [8, 8, 8], [1, 1, 2]);
  expect(crop.step).toEqual([1, 1, 1]);
  expect(crop.first.every(Number.isInteger)).toBe(true);
});

test('an image on it is linear between the same voxels', () => {
  const volume = { voxels, size: [5, 1, 1], spacing: [1, 1, 1] } as unknown as Volume;
  expect([...cropImage(volume, grid, -1000)]).toEqual([60, 170, 280, 390]);
});

test('a crop at another spacing is linear between voxels, and has air or edges outside', () => {
  const voxels = Float32Array.from(
    { length: 5 * 4 * 3 },
    (_, i) => 2 * (i % 5) + 10 * (Math.floor(i / 5) % 4),
  );
  const image = { voxels, size: [5, 4, 3], spacing: [1, 1, 1] } as const;
  const grid = cropAround(image, [2, 1.5, 1], [4, 2, 2], [0.5, 1, 1]);
  expect([...cropImage(image, grid, null)].slice(0, 8)).toEqual([
    12.5, 13.5, 14.5, 15.5, 22.5, 23.5, 24.5, 25.5,
  ]);
  const wide = cropAround(image, [2, 1.5, 1], [7, 4, 3]);
  expect([...cropImage(image, wide, -1).subarray(0, 7)]).toEqual([-1, 0, 2, 4, 6, 8, -1]);
  expect([...cropImage(image, wide, null).subarray(0, 7)]).toEqual([0, 0, 2, 4, 6, 8, 8]);
  expect(cropMask({ voxels: new Uint8Array(60).fill(1), size: [5, 4, 3] }, wide)[0]).toBe(0);
});
