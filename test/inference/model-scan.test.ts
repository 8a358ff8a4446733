import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cropImage } from '../../src/data/scan/crop.js';
import { voxelToWorld } from '../../src/data/scan/geometry.js';
import type { Volume, XYZ } from '../../src/data/scan/volume.js';
import { coarserGrid, gridOfSpacing, placeOfGrid, readerOf } from '../../src/inference/scan-grid.js';
import { noiseVolume } from '../data/store/tiles-sample.js';

const length = (most: number) => fc.integer({ min: 1, max: most });

describe('values of a scan for a model', () => {
  test('are cut as samples are, inside and outside of the scan', () => {
    const size = fc.tuple(length(7), length(6), length(5));
    const first = fc.tuple(...[0, 1, 2].map(() => fc.integer({ min: -9, max: 9 })));
    fc.assert(
      fc.property(size, size, first, fc.boolean(), (whole, box, start, isFloat) => {
        const noise = noiseVolume(whole, 1);
        const volume: Volume = isFloat ? { ...noise, voxels: Float32Array.from(noise.voxels) } : noise;
        const grid = { size: box, first: start as unknown as XYZ, step: [1, 1, 1] as const };
        const hu = readerOf(volume, { normalise: 'hu', channels: 1 }, 'a test')(grid);
        expect([...hu]).toEqual([...cropImage(volume, grid, -1000)]);
        const { shift, scale } = (() => {
          const low = Math.min(...volume.voxels);
          return { shift: low, scale: Math.max(...volume.voxels) - low || 1 };
        })();
        const minmax = readerOf(volume, { normalise: 'minmax', channels: 1 }, 'a test')(grid);
        const repeated = cropImage(volume, grid, null);
        for (const [i, value] of repeated.entries())
          expect(minmax[i]).toBeCloseTo((value - shift) / scale, 5);
      }),
    );
  });

  test('of an encoder are thousandths, of a network of a target task are not', () => {
    const volume = noiseVolume([8, 8, 8], 2);
    const grid = { size: volume.size, first: [0, 0, 0], step: [1, 1, 1] } as const;
    const ofEncoder = readerOf(volume, { normalise: 'zscore', channels: null }, 'a test')(grid);
    const ofTarget = readerOf(volume, { normalise: 'zscore', channels: 1 }, 'a test')(grid);
    expect(ofEncoder).toBeInstanceOf(Int16Array);
    for (const [i, value] of ofEncoder.entries())
      expect(Math.abs(value - 1000 * ofTarget[i]!)).toBeLessThan(0.51);
  });
});

describe('the grid of a model', () => {
  test('has its spacing around the middle of the scan, and the scan’s own voxels where that is the same', () => {
    const scan = { size: [100, 50, 21] as const, spacing: [0.5, 1, 2.5] as const };
    expect(gridOfSpacing(scan, null)).toEqual({ size: [100, 50, 21], first: [0, 0, 0], step: [1, 1, 1] });
    const { size, first, step } = gridOfSpacing(scan, [1, 1.005, 1]);
    expect(size).toEqual([50, 50, 53]);
    expect(step).toEqual([2, 1, 0.4]);
    for (const axis of [0, 1, 2] as const)
      expect(first[axis] + ((size[axis] - 1) / 2) * step[axis]).toBeCloseTo((scan.size[axis] - 1) / 2, 9);
    expect(gridOfSpacing({ size: [3, 3, 1], spacing: [1, 1, 1] }, [5, 5, 5]).size).toEqual([1, 1, 1]);
  });

  test('in blocks lies in their middle, in the patient too', () => {
    const scan = { ...noiseVolume([10, 6, 5], 3), spacing: [2, 1, 3] as const, origin: [5, 6, 7] as const };
    const grid = coarserGrid(gridOfSpacing(scan, null), [4, 2, 1]);
    expect(grid).toEqual({ size: [3, 3, 5], first: [1.5, 0.5, 0], step: [4, 2, 1] });
    const place = placeOfGrid(scan, grid);
    expect(place).toMatchObject({ size: [3, 3, 5], spacing: [8, 2, 3] });
    expect(place.origin).toEqual(voxelToWorld(scan, [1.5, 0.5, 0]));
  });
});
