import { expect, it } from 'vitest';
import { middleSlices } from '../../src/report/slices.js';

// Every voxel tells its place: x + 10 y + 100 z.
const SIZE = [4, 6, 2] as const;
const places = Int16Array.from(
  { length: 48 },
  (_, i) => (i % 4) + 10 * (Math.floor(i / 4) % 6) + 100 * Math.floor(i / 24),
);
const [axial, coronal, sagittal] = middleSlices(places, SIZE, { low: 0, high: 255 });

it('cuts the middle of each axis', () => {
  expect([axial.width, axial.height]).toEqual([4, 6]);
  expect([coronal.width, coronal.height]).toEqual([4, 2]);
  expect([sagittal.width, sagittal.height]).toEqual([6, 2]);
});

it('shows an LPS volume as radiologists do: front or head up, left on the right', () => {
  // Axial, z = 1: the first row is y = 0, the front; x, towards the left, goes to the right.
  expect([...axial.pixels.subarray(0, 4)]).toEqual([100, 101, 102, 103]);
  expect(axial.pixels.at(-1)).toBe(153);
  // Coronal, y = 3, and sagittal, x = 2: the first row is the highest z; y, towards the back, goes to the right.
  expect([...coronal.pixels]).toEqual([130, 131, 132, 133, 30, 31, 32, 33]);
  expect([...sagittal.pixels.subarray(0, 6)]).toEqual([102, 112, 122, 132, 142, 152]);
});

it('maps the window to black and white, clamps, and shows what is not a number black', () => {
  const values = Float32Array.from([-9, -1, 0, 1, 7, Number.NaN]);
  const [slice] = middleSlices(values, [6, 1, 1], { low: -1, high: 1 });
  expect([...slice.pixels]).toEqual([0, 0, 128, 255, 255, 0]);
});
