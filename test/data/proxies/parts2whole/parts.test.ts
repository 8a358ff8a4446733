import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { boxAround } from '../../../../src/data/proxies/parts2whole/part-batch.js';
import {
  type Box,
  DEFAULT_PART,
  interpolationMatrix,
  largestPart,
  type PartOptions,
  partMatrices,
  samplePart,
} from '../../../../src/data/proxies/parts2whole/parts.js';
import type { XYZ } from '../../../../src/data/scan/volume.js';
import { randomStream } from '../../../../src/random.js';

const WHOLE: XYZ = [128, 128, 64];
const volume = ([x, y, z]: XYZ) => x * y * z;
const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;

const sampled = (options: Partial<PartOptions>, count: number) =>
  Array.from({ length: count }, (_, i) =>
    samplePart(randomStream(1, 'part', 0, i), WHOLE, { ...DEFAULT_PART, ...options }),
  );

describe('samplePart', () => {
  test.each([
    [1 / 16, [51, 51, 25]],
    [1 / 4, [81, 81, 40]],
  ])('a volume share of %f is a part of %j voxels', (share, expected) => {
    const [part] = sampled({ scale: [share, share], isotropic: true }, 1);
    expect(part!.size).toEqual(expected);
  });

  test('volume shares are uniform', () => {
    const shares = sampled({}, 4000)
      .map(({ size }) => volume(size) / volume(WHOLE))
      .sort((a, b) => a - b);
    // Kolmogorov–Smirnov: at this count 0.026 is the limit at 1 %, and rounding to voxels adds a little.
    const distances = shares.map((share, i) => Math.abs((share - 1 / 16) / (3 / 16) - i / shares.length));
    expect(Math.max(...distances)).toBeLessThan(0.035);
  });

  test('ratios x:y and x:z cover 3/4 to 4/3, evenly on a logarithmic scale', () => {
    for (const axis of [1, 2] as const) {
      const ratios = sampled({}, 4000).map(({ size }) => size[0] / WHOLE[0] / (size[axis] / WHOLE[axis]));
      const logs = ratios.map(Math.log);
      expect(Math.min(...ratios)).toBeCloseTo(3 / 4, 1);
      expect(Math.max(...ratios)).toBeCloseTo(4 / 3, 1);
      expect(mean(logs)).toBeCloseTo(0, 1);
      // Variance of a uniform distribution of this width: width² / 12.
      expect(mean(logs.map((x) => x * x))).toBeCloseTo((2 * Math.log(4 / 3)) ** 2 / 12, 2);
    }
  });

  test('isotropic parts have the proportions of the whole', () => {
    for (const { size } of sampled({ isotropic: true }, 50)) {
      expect(size[1]).toBe(size[0]);
      expect(Math.abs(size[2] - size[0] / 2)).toBeLessThanOrEqual(0.5);
    }
  });

  test('parts touch all sides of the whole, sooner or later', () => {
    const parts = sampled({}, 2000);
    for (const axis of [0, 1, 2] as const) {
      expect(parts.some(({ start }) => start[axis] === 0)).toBe(true);
      expect(parts.some(({ start, size }) => start[axis] + size[axis] === WHOLE[axis])).toBe(true);
    }
  });

  test('the whole itself can be asked for', () => {
    const [part] = sampled({ scale: [1, 1], isotropic: true }, 1);
    expect(part).toEqual({ start: [0, 0, 0], size: WHOLE });
  });

  test('no part leaves its whole, whatever the options', () => {
    fc.assert(
      fc.property(
        fc.tuple(
          fc.integer({ min: 1, max: 90 }),
          fc.integer({ min: 1, max: 90 }),
          fc.integer({ min: 1, max: 90 }),
        ),
        fc.double({ min: 0.001, max: 1, noNaN: true }),
        fc.double({ min: 1, max: 4, noNaN: true }),
        fc.integer(),
        (whole, low, ratio, seed) => {
          const options: PartOptions = { scale: [low, 1], ratio: [1 / ratio, ratio], isotropic: false };
          const { start, size } = samplePart(randomStream(seed), whole, options);
          for (const axis of [0, 1, 2] as const) {
            expect(Number.isInteger(start[axis]) && Number.isInteger(size[axis])).toBe(true);
            expect(start[axis]).toBeGreaterThanOrEqual(0);
            expect(size[axis]).toBeGreaterThanOrEqual(1);
            expect(start[axis] + size[axis]).toBeLessThanOrEqual(whole[axis]);
          }
        },
      ),
    );
  });
});

/** Trilinear interpolation as in the textbook, voxel by voxel. */
function resizedNaively(tile: Float32Array, tileSize: XYZ, { start, size }: Box, to: XYZ): number[] {
  const result: number[] = [];
  const at = (x: number, y: number, z: number) => tile[x + tileSize[0] * (y + tileSize[1] * z)]!;
  const neighbours = (axis: 0 | 1 | 2, i: number) => {
    const place = ((i + 0.5) * size[axis]) / to[axis] - 0.5;
    const inside = (voxel: number) => start[axis] + Math.min(Math.max(voxel, 0), size[axis] - 1);
    const low = Math.floor(place);
    return [
      [inside(low), 1 - (place - low)],
      [inside(low + 1), place - low],
    ] as const;
  };
  for (let z = 0; z < to[2]; z++) {
    for (let y = 0; y < to[1]; y++) {
      for (let x = 0; x < to[0]; x++) {
        let sum = 0;
        for (const [zi, zw] of neighbours(2, z))
          for (const [yi, yw] of neighbours(1, y))
            for (const [xi, xw] of neighbours(0, x)) sum += zw * yw * xw * at(xi, yi, zi);
        result.push(sum);
      }
    }
  }
  return result;
}

/** depth · height · tile · width, as the graph does it: [D, H, W]. */
function resizedByMatrices(tile: Float32Array, [w0, h0, d0]: XYZ, box: Box, [w, h, d]: XYZ): number[] {
  const { depth, height, width } = partMatrices(box, [w0, h0, d0], [w, h, d]);
  const result: number[] = [];
  for (let z = 0; z < d; z++) {
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        let sum = 0;
        for (let k = 0; k < d0; k++)
          for (let j = 0; j < h0; j++)
            for (let i = 0; i < w0; i++)
              sum +=
                depth[z * d0 + k]! * height[y * h0 + j]! * tile[i + w0 * (j + h0 * k)]! * width[i * w + x]!;
        result.push(sum);
      }
    }
  }
  return result;
}

test('a box of the largest part holds every part, wherever it lies', () => {
  for (const options of [
    DEFAULT_PART,
    { ...DEFAULT_PART, scale: [1 / 16, 1] as const },
    { ...DEFAULT_PART, scale: [1 / 64, 1 / 8] as const, ratio: [0.9, 1.5] as const },
    { ...DEFAULT_PART, isotropic: true },
  ]) {
    const tile: XYZ = [40, 32, 24];
    const box = largestPart(tile, options);
    const most = [0, 0, 0];
    for (let i = 0; i < 3000; i++) {
      const part = samplePart(randomStream(i), tile, options);
      const { start, inside } = boxAround(part, box, tile);
      for (const axis of [0, 1, 2] as const) {
        most[axis] = Math.max(most[axis]!, part.size[axis]);
        expect(start[axis]).toBeGreaterThanOrEqual(0);
        expect(start[axis] + box[axis]).toBeLessThanOrEqual(tile[axis]);
        expect(start[axis] + inside.start[axis]).toBe(part.start[axis]);
        expect(inside.start[axis] + inside.size[axis]).toBeLessThanOrEqual(box[axis]);
      }
    }
    // No larger than need be.
    for (const axis of [0, 1, 2] as const) expect(most[axis]).toBeGreaterThan(0.9 * box[axis] - 1);
  }
});

describe('partMatrices', () => {
  test.each<[string, Box, XYZ]>([
    ['enlarges', { start: [2, 1, 3], size: [3, 5, 2] }, [8, 6, 4]],
    ['shrinks', { start: [0, 0, 0], size: [10, 8, 6] }, [4, 3, 2]],
    ['stretches a single voxel', { start: [9, 7, 5], size: [1, 1, 1] }, [4, 4, 4]],
  ])('%s like trilinear interpolation', (_, box, to) => {
    const tileSize: XYZ = [10, 8, 6];
    const random = randomStream(2);
    const tile = Float32Array.from({ length: volume(tileSize) }, () => random.uniform());
    const expected = resizedNaively(tile, tileSize, box, to);
    const found = resizedByMatrices(tile, tileSize, box, to);
    expect(Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(1e-6);
  });

  test('change nothing when the part is the whole', () => {
    const { depth, height, width } = partMatrices(
      { start: [0, 0, 0], size: [4, 3, 2] },
      [4, 3, 2],
      [4, 3, 2],
    );
    const identity = (n: number) =>
      Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
    expect([width, height, depth]).toEqual([identity(4), identity(3), identity(2)]);
  });
});

const rowSums = (matrix: Float32Array, from: number) =>
  Array.from({ length: matrix.length / from }, (_, i) =>
    matrix.slice(i * from, (i + 1) * from).reduce((a, b) => a + b),
  );

test('interpolation weighs only voxels of the box, with weights that sum to 1', () => {
  const box = fc.tuple(
    fc.nat(40),
    fc.integer({ min: 1, max: 40 }),
    fc.nat(40),
    fc.integer({ min: 1, max: 60 }),
  );
  fc.assert(
    fc.property(box, ([start, length, after, to]) => {
      const from = start + length + after;
      const matrix = interpolationMatrix(start, length, from, to);
      for (const sum of rowSums(matrix, from)) expect(sum).toBeCloseTo(1, 6);
      const inside = (i: number) => i % from >= start && i % from < start + length;
      expect(matrix.every((weight, i) => weight >= 0 && (weight === 0 || inside(i)))).toBe(true);
    }),
  );
});
