import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readNpz } from '../../src/data/scan/npz.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { resamplePlanes } from '../../src/inference/resample-planes.js';
import { type Plane, type PredictWindows, slidingWindow } from '../../src/inference/sliding-window.js';
import { planWindows, windowCount, windowWeights } from '../../src/inference/windows.js';

const golden = await readNpz(join(import.meta.dirname, '../golden/windows.npz'));
const parse = (text: string) => text.split('x').map(Number) as unknown as XYZ;

/** The image of make_windows.py; 0 outside. */
function valueAt(size: XYZ, [x, y, z]: XYZ): number {
  if ([x, y, z].some((place, i) => place < 0 || place >= size[i]!)) return 0;
  return ((x * 73 + y * 151 + z * 283 + x * y * 17 + y * z * 29) % 101) / 101;
}

/** The predictor of make_windows.py. */
function predictor(size: XYZ, [w, h, d]: XYZ): PredictWindows {
  return async (origins) => {
    const values = new Float32Array(origins.length * 2 * w * h * d);
    for (const [n, origin] of origins.entries()) {
      const at = (x: number, y: number, z: number) =>
        x < 0 || y < 0 || z < 0 || x >= w || y >= h || z >= d
          ? 0
          : valueAt(size, [origin[0] + x, origin[1] + y, origin[2] + z]);
      for (let z = 0; z < d; z++)
        for (let y = 0; y < h; y++)
          for (let x = 0; x < w; x++) {
            let mean = 0;
            for (let i = 0; i < 27; i++)
              mean += at(x - 1 + (i % 3), y - 1 + (Math.floor(i / 3) % 3), z - 1 + Math.floor(i / 9)) / 27;
            const place = n * 2 * w * h * d + x + w * (y + h * z);
            values[place] = mean + (x / w) * (y / h);
            values[place + w * h * d] = at(x, y, z) * (z / d) - mean;
          }
    }
    return values;
  };
}

/** All planes of an image, [channels, D, H, W]. */
async function collect(
  planes: AsyncIterable<Plane>,
  channels: number,
  [w, h, d]: XYZ,
): Promise<Float32Array> {
  const result = new Float32Array(channels * w * h * d).fill(Number.NaN);
  let next = 0;
  for await (const { z, values } of planes) {
    expect(z).toBe(next++);
    for (let c = 0; c < channels; c++)
      result.set(values.subarray(c * w * h, (c + 1) * w * h), w * h * (z + d * c));
  }
  expect(next).toBe(d);
  return result;
}

describe('windows of an image', () => {
  test.each([...golden])('%s give what MONAI makes of them', async (name, { data }) => {
    const [sizes, windows, overlap] = name.split('/') as [string, string, string];
    const [size, window] = [parse(sizes), parse(windows)];
    for (const batch of [1, 4]) {
      const plan = planWindows(size, window, Number(overlap));
      const options = { plan, channels: 2, batch };
      const got = await collect(slidingWindow(options, predictor(size, window)), 2, size);
      const expected = data as Float32Array;
      expect(got.length).toBe(expected.length);
      const error = got.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
      expect(error).toBeLessThan(1e-5);
    }
  });

  test('cover each voxel, the last one ending with the image', () => {
    const plan = planWindows([20, 9, 4], [8, 8, 8], 0.5);
    expect(plan.starts).toEqual([[0, 4, 8, 12], [0, 1], [-2]]);
    expect(windowCount(plan)).toBe(8);
    // A window that moves on by less than a voxel moves on by one.
    expect(planWindows([5, 1, 1], [4, 1, 1], 0.9).starts[0]).toEqual([0, 1]);
  });

  test('count most in their middle, and never nothing', () => {
    const weights = windowWeights([4, 4, 4]);
    expect(Math.min(...weights)).toBeCloseTo(1e-3, 9);
    expect(weights[1 + 4 * (1 + 4 * 1)]).toBe(Math.max(...weights));
  });

  test('are no more in memory than a slab: a plane comes once no later window changes it', async () => {
    let predicted = 0;
    const predict: PredictWindows = async (origins) => {
      predicted += origins.length;
      return new Float32Array(origins.length * 4 ** 3);
    };
    const plan = planWindows([4, 4, 12], [4, 4, 4], 0.5);
    const predictedBefore: number[] = [];
    for await (const _ of slidingWindow({ plan, channels: 1, batch: 8 }, predict))
      predictedBefore.push(predicted);
    expect(predictedBefore).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5]);
  });
});

describe('planes of a model’s grid', () => {
  async function* ramp([w, h, d]: XYZ): AsyncGenerator<Plane> {
    const values = new Float32Array(2 * w * h);
    for (let z = 0; z < d; z++) {
      for (let at = 0; at < w * h; at++) {
        values[at] = (at % w) + 10 * Math.floor(at / w) + 100 * z;
        values[w * h + at] = -z;
      }
      yield { z, values };
    }
  }

  test('become planes of the scan, linear between them, and repeated beyond them', async () => {
    const grid = { size: [3, 4, 5], first: [0.5, 1, 0], step: [2, 1, 3] } as const;
    const scan: XYZ = [7, 4, 12];
    const got = await collect(resamplePlanes(ramp(grid.size), 2, grid, scan), 2, scan);
    const place = (axis: 0 | 1 | 2, i: number) =>
      Math.min(Math.max((i - grid.first[axis]) / grid.step[axis], 0), grid.size[axis] - 1);
    for (let z = 0, at = 0; z < 12; z++)
      for (let y = 0; y < 4; y++)
        for (let x = 0; x < 7; x++, at++) {
          expect(got[at]).toBeCloseTo(place(0, x) + 10 * place(1, y) + 100 * place(2, z), 3);
          expect(got[7 * 4 * 12 + at]).toBeCloseTo(-place(2, z), 5);
        }
  });

  test('on a finer grid than the scan’s are passed over', async () => {
    const grid = { size: [4, 4, 12], first: [0, 0, 0], step: [1, 1, 0.25] } as const;
    const got = await collect(resamplePlanes(ramp(grid.size), 2, grid, [4, 4, 3]), 2, [4, 4, 3]);
    expect([got[0], got[16], got[32]]).toEqual([0, 400, 800]);
  });
});
