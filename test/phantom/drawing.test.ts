import { describe, expect, test } from 'vitest';
import type { XYZ } from '../../src/data/scan/volume.js';
import { makeCanvas, toGrid, toPatient } from '../../src/phantom/canvas.js';
import { noiseField, RowReader, sampledField } from '../../src/phantom/field.js';
import { distanceTo, paint, turned } from '../../src/phantom/shapes.js';
import { growTree, treeRadii } from '../../src/phantom/tree.js';
import { randomStream } from '../../src/random.js';

/** 1 mm voxels; what is painted with 10000 HU stands for tissue of amount 1. */
const canvas = (roll = 0) => makeCanvas([40, 40, 40], [1, 1, 1], [0, 0, 0], roll);
const amount = (hu: Int16Array) => hu.reduce((sum, value) => sum + value, 0) / 10000;
const full = { hu: 10000 };

describe('a canvas', () => {
  test('has the voxel where the rolled patient is', () => {
    const rolled = makeCanvas([30, 20, 10], [0.7, 0.8, 2.5], [3, -4, 5], 0.3);
    const [i, j, k] = [7, 11, 3];
    const grid = toGrid(rolled, toPatient(rolled, i, j, k));
    [i, j, k].forEach((voxel, a) => {
      expect(grid[a]).toBeCloseTo(rolled.origin[a]! + voxel * rolled.spacing[a]!, 9);
    });
  });
});

describe('painted shapes', () => {
  test.each([0, 0.4])('a ball has its volume, rolled by %d', (roll) => {
    const ball = canvas(roll);
    paint(ball, { centre: [3, -2, 1], radii: [8, 8, 8] }, full);
    const volume = (4 / 3) * Math.PI * 8 ** 3;
    expect(Math.abs(amount(ball.hu) / volume - 1)).toBeLessThan(0.01);
  });

  test('an ellipsoid lies along its axes', () => {
    const axes = turned(Math.PI / 2);
    const scan = canvas();
    paint(scan, { centre: [0.5, 0.5, 0.5], radii: [15, 3, 3], axes }, full);
    const at = (x: number, y: number) => scan.hu[x + 40 * (y + 40 * 20)];
    expect(at(20, 32)).toBe(10000);
    expect(at(32, 20)).toBe(0);
  });

  test.each([3, 1, 0.3, 0.1])(
    'a tube of radius %d mm has its volume, also when thinner than a voxel',
    (r) => {
      const scan = canvas();
      paint(
        scan,
        {
          points: [
            [-14.3, 0.2, 0.1, r],
            [14.3, 0.2, 0.1, r],
          ],
        },
        full,
      );
      // A thin tube's ends are as long as a voxel is wide.
      const ends = (4 / 3) * Math.max(r, 0.5) * Math.PI * r * r;
      expect(Math.abs(amount(scan.hu) / (28.6 * Math.PI * r * r + ends) - 1)).toBeLessThan(0.15);
    },
  );

  test('pieces that overlap over a background do not add up', () => {
    const [once, twice] = [canvas(), canvas()];
    const tube = {
      points: [
        [-9, 0, 0, 0.3],
        [9, 2, 1, 0.3],
      ] as const,
    };
    paint(once, tube, { ...full, over: 0 });
    for (let i = 0; i < 2; i++) paint(twice, tube, { ...full, over: 0 });
    expect(twice.hu).toEqual(once.hu);
  });

  test('nothing is painted beyond the edges, nor for a core that has no room', () => {
    const scan = canvas();
    paint(scan, { centre: [300, 0, 0], radii: [9, 9, 9] }, full);
    paint(scan, { centre: [0, 0, 0], radii: [2, 9, 9] }, { ...full, grow: -3 });
    paint(
      scan,
      {
        points: [
          [0, 0, 0, 1],
          [9, 0, 0, 1],
        ],
      },
      { ...full, grow: -1 },
    );
    expect(amount(scan.hu)).toBe(0);
  });

  test('distances are negative inside and in mm outside', () => {
    const tube = {
      points: [
        [0, 0, 0, 2],
        [10, 0, 0, 2],
      ] as const,
    };
    expect(distanceTo(tube, 5, 0, 0)).toBeCloseTo(-2);
    expect(distanceTo(tube, 13, 4, 0)).toBeCloseTo(3);
    expect(distanceTo({ centre: [0, 0, 0], radii: [3, 3, 3] }, 0, 7, 0)).toBeCloseTo(4);
  });
});

describe('fields', () => {
  test('give back a linear function at every voxel', () => {
    const scan = makeCanvas([33, 21, 9], [1.3, 0.9, 4], [5, 0, -7], 0.2);
    const f = (x: number, y: number, z: number) => 2 * x - 3 * y + 0.5 * z + 1;
    const reader = new RowReader(sampledField(scan, [7, 7, 7], f), 33);
    for (const [j, k] of [
      [0, 0],
      [20, 8],
      [13, 5],
      [2, 5],
    ] as const) {
      const row = reader.seek(j, k);
      for (const i of [0, 17, 32]) expect(row[i]).toBeCloseTo(f(...toPatient(scan, i, j, k)), 3);
    }
  });

  test('reach over scans that are smaller than a cell', () => {
    const reader = new RowReader(noiseField(canvas(), [500, 500, 500], randomStream(1, 'test')), 40);
    expect(reader.seek(39, 39).every(Number.isFinite)).toBe(true);
  });
});

describe('a tree', () => {
  const random = randomStream(2, 'test');
  const point = (): XYZ => [random.between(10, 90), random.between(-50, 50), random.between(-50, 50)];
  const targets = Array.from({ length: 80 }, point);
  const tree = growTree([[0, 0, 0]], targets, 5);

  test('reaches every target from its root', () => {
    for (const target of targets) expect(tree.points).toContainEqual(target);
    tree.parents.forEach((parent, i) => {
      expect(parent).toBeLessThan(i);
      if (i > 0) expect(parent).toBeGreaterThanOrEqual(0);
    });
  });

  test('keeps the flow where it forks', () => {
    const radii = treeRadii(tree, 0.5);
    expect(radii[0]).toBeGreaterThan(0.5 * 60 ** (1 / 2.7));
    radii.forEach((radius, i) => {
      const children = tree.parents.flatMap((parent, child) => (parent === i ? [radii[child]! ** 2.7] : []));
      const flow = children.length > 0 ? children.reduce((a, b) => a + b) : 0.5 ** 2.7;
      expect(radius ** 2.7).toBeCloseTo(flow, 6);
    });
  });
});
