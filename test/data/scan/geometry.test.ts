import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  affineOf,
  determinant,
  nearestOrthonormal,
  orientLPS,
  voxelToWorld,
  worldToVoxel,
} from '../../../src/data/scan/geometry.js';
import type { Grid, Volume, XYZ } from '../../../src/data/scan/volume.js';

const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1];
/** The direction that part of LUNA16's scans have: patient lying the other way round. */
const LUNA16_FLIP = [-1, 0, 0, 0, -1, 0, 0, 0, 1];
/** 30° about z, then the axes swapped: oblique and permuted. */
const C = Math.cos(Math.PI / 6);
const OBLIQUE = [0, C, -0.5, 0, 0.5, C, 1, 0, 0];

const luna: Grid = {
  size: [512, 512, 133],
  spacing: [0.7, 0.7, 2.5],
  origin: [177, 165, -330],
  direction: LUNA16_FLIP,
};

function close(actual: readonly number[], expected: readonly number[]) {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 9);
  });
}

function numbered(size: XYZ, direction: readonly number[]): Volume {
  const voxels = Int16Array.from({ length: size[0] * size[1] * size[2] }, (_, i) => i);
  return { size, spacing: [0.5, 2, 3], origin: [10, -20, 30], direction, voxels };
}

describe('voxel and world coordinates', () => {
  it('agree with positions worked out by hand on a flipped LUNA16 grid', () => {
    close(voxelToWorld(luna, [100, 10, 4]), [177 - 70, 165 - 7, -330 + 10]);
    close(worldToVoxel(luna, [107, 158, -320]), [100, 10, 4]);
    close(worldToVoxel(luna, [177 - 0.35, 165, -328.75]), [0.5, 0, 0.5]);
  });

  it('use the columns of the direction, not the rows', () => {
    const grid: Grid = { ...luna, spacing: [1, 2, 3], origin: [0, 0, 0], direction: OBLIQUE };
    close(voxelToWorld(grid, [1, 0, 0]), [0, 0, 1]);
    close(voxelToWorld(grid, [0, 1, 0]), [2 * C, 1, 0]);
    close(voxelToWorld(grid, [0, 0, 1]), [-1.5, 3 * C, 0]);
  });

  it('are inverse to each other on any grid', () => {
    const position = fc.tuple(...[0, 1, 2].map(() => fc.double({ min: -600, max: 600, noNaN: true })));
    fc.assert(
      fc.property(position, fc.constantFrom(IDENTITY, LUNA16_FLIP, OBLIQUE), (voxel, direction) => {
        const grid = { ...luna, direction };
        const back = worldToVoxel(grid, voxelToWorld(grid, voxel as unknown as XYZ));
        back.forEach((value, i) => {
          expect(value).toBeCloseTo(voxel[i]!, 6);
        });
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it('give the affine that maps voxels to world', () => {
    close(affineOf(luna), [-0.7, 0, 0, 177, 0, -0.7, 0, 165, 0, 0, 2.5, -330, 0, 0, 0, 1]);
  });
});

describe('orientLPS', () => {
  it('returns the same object when nothing is to do', () => {
    const volume = numbered([2, 3, 4], IDENTITY);
    expect(orientLPS(volume)).toBe(volume);
    const tilted = [1, 0, 0, 0, C, -0.5, 0, 0.5, C];
    expect(orientLPS({ ...volume, direction: tilted }).voxels).toBe(volume.voxels);
  });

  it('flips a LUNA16 scan and moves its origin to the other corner', () => {
    const turned = orientLPS(numbered([2, 2, 1], LUNA16_FLIP));
    expect([...turned.voxels]).toEqual([3, 2, 1, 0]);
    close(turned.direction, IDENTITY);
    close(turned.origin, [10 - 0.5, -20 - 2, 30]);
  });

  it('permutes sizes, spacings and voxels together', () => {
    const sagittal = orientLPS(numbered([2, 3, 1], [0, 0, 1, 1, 0, 0, 0, 1, 0]));
    expect(sagittal.size).toEqual([1, 2, 3]);
    expect(sagittal.spacing).toEqual([3, 0.5, 2]);
    expect([...sagittal.voxels]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  const axes = [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ];
  const orders = fc.shuffledSubarray([0, 1, 2], { minLength: 3 });
  const signs = fc.array(fc.constantFrom(1, -1), { minLength: 3, maxLength: 3 });

  it('keeps every voxel at its world position, for all 48 axis orders, also oblique', () => {
    const lean = nearestOrthonormal([1, 0.3, -0.1, -0.2, 1, 0.1, 0.2, 0, 1].map((v) => v / 1.1))!;
    fc.assert(
      fc.property(orders, signs, fc.boolean(), (order, sign, oblique) => {
        const base = axes.map((row) => order.map((axis, i) => row[axis]! * sign[i]!));
        const direction = oblique
          ? [0, 1, 2].flatMap((r) =>
              [0, 1, 2].map((c) => [0, 1, 2].reduce((sum, k) => sum + lean[3 * r + k]! * base[k]![c]!, 0)),
            )
          : base.flat();
        const before = numbered([2, 3, 4], direction);
        const after = orientLPS(before);
        for (const world of [0, 1, 2]) expect(after.direction[4 * world]).toBeGreaterThan(0.8);
        const [w, h] = after.size;
        after.voxels.forEach((value, i) => {
          const here = voxelToWorld(after, [i % w, Math.floor(i / w) % h, Math.floor(i / (w * h))]);
          close(here, voxelToWorld(before, [value % 2, Math.floor(value / 2) % 3, Math.floor(value / 6)]));
        });
      }),
      { seed: 2, numRuns: 150 },
    );
  });
});

describe('nearestOrthonormal', () => {
  it('leaves a rotation and a reflection as they are', () => {
    for (const matrix of [IDENTITY, LUNA16_FLIP, OBLIQUE, [1, 0, 0, 0, -1, 0, 0, 0, 1]]) {
      close(nearestOrthonormal(matrix)!, matrix);
    }
  });

  it('splits a shear evenly: axes 80° apart become 90° apart about the same bisector', () => {
    const [s, c] = [Math.sin(Math.PI / 36), Math.cos(Math.PI / 36)];
    close(nearestOrthonormal([c, s, 0, s, c, 0, 0, 0, 1])!, IDENTITY);
  });

  it('refuses axes in one plane, and NaN', () => {
    expect(nearestOrthonormal([1, 1, 0, 0, 0, 0, 0, 0, 1])).toBeUndefined();
    expect(nearestOrthonormal([Number.NaN, 0, 0, 0, 1, 0, 0, 0, 1])).toBeUndefined();
  });

  it('keeps the handedness', () => {
    const left = nearestOrthonormal([-1, 0.1, 0, 0, 1, 0.1, 0, 0, 1])!;
    expect(determinant(left)).toBeCloseTo(-1, 12);
  });
});
