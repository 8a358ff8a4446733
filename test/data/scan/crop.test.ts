import { expect, test } from 'vitest';
import { cropImage, cropMask } from '../../../src/data/scan/crop.js';
import type { Volume } from '../../../src/data/scan/volume.js';

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

test('an image on it is linear between the same voxels', () => {
  const volume = { voxels, size: [5, 1, 1], spacing: [1, 1, 1] } as unknown as Volume;
  expect([...cropImage(volume, grid, -1000)]).toEqual([60, 170, 280, 390]);
});
