import fc from 'fast-check';
import { expect, test } from 'vitest';
import { firstBox, gridOfBox, moved, voxelsOf, wholeAround, withFace } from '../../page/box.js';
import type { Box } from '../../page/messages.js';
import type { ServedModel } from '../../page/served-model.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { middlePart } from '../../src/inference/reconstruction.js';

const SIZE: XYZ = [40, 30, 20];
const PART = '{"scale":[0.0625,0.25]}';
const SIDE = Math.cbrt((0.0625 + 0.25) / 2);
const box: Box = { low: [4, 6, 8], high: [20, 22, 16] };

const isInside = ({ low, high }: Box) =>
  low.every((face, i) => face >= 0 && face < high[i]! && high[i]! <= SIZE[i]!);

test('a whole is drawn from its middle, as the service reconstructs scans', () => {
  const { low, high } = wholeAround(box, PART);
  const whole = high.map((face, i) => face - low[i]!) as unknown as XYZ;
  const { start, size } = middlePart(whole, SIDE);
  for (const i of [0, 1, 2] as const) {
    expect(size[i]).toBe(box.high[i] - box.low[i]);
    expect(Math.abs(low[i]! + start[i] - box.low[i])).toBeLessThan(1);
  }
  expect(wholeAround(box, undefined)).toEqual(box);
});

test('a grid of a box’s own voxels lies on them', () => {
  expect(gridOfBox(box, [16, 16, 8])).toEqual({ size: [16, 16, 8], first: box.low, step: [1, 1, 1] });
  expect(voxelsOf(box)).toEqual([4, 6, 8, 19, 21, 15]);
});

test('the first box is as large as parts in training, at the model’s spacing, and in the scan', () => {
  const first = (spacing: XYZ | null, part?: string) => {
    const model = { window: [16, 16, 64], spacing, metadata: part ? { part } : {} } as unknown as ServedModel;
    const { low, high } = firstBox(
      { size: SIZE, spacing: [1, 2, 1], origin: [0, 0, 0], direction: [] },
      model,
    );
    return high.map((face, i) => face - low[i]!);
  };
  expect(first(null)).toEqual([16, 16, 20]);
  expect(first([1, 1, 1])).toEqual([16, 8, 20]);
  expect(first(null, PART)).toEqual([9, 9, 20]);
});

test('a box stays a box in the scan, whatever is done to it', () => {
  const place = fc.double({ min: -100, max: 100, noNaN: true });
  fc.assert(
    fc.property(fc.constantFrom(0, 1, 2), fc.constantFrom('low', 'high'), place, (axis, face, to) => {
      expect(isInside(withFace(box, SIZE, axis as 0 | 1 | 2, face as 'low' | 'high', to))).toBe(true);
    }),
  );
  fc.assert(
    fc.property(fc.tuple(place, place, place), (by) => {
      const { low, high } = moved(box, SIZE, by);
      expect(isInside({ low, high })).toBe(true);
      expect(high.map((face, i) => face - low[i]!)).toEqual([16, 16, 8]);
    }),
  );
});
