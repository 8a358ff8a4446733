import { describe, expect, test } from 'vitest';
import { corrupt } from '../../../../src/data/proxies/genesis/corrupt.js';
import { drawFlips, flip } from '../../../../src/data/proxies/genesis/flip.js';
import { drawCurve, mapIntensities } from '../../../../src/data/proxies/genesis/intensity.js';
import { inPaint, outPaint } from '../../../../src/data/proxies/genesis/paint.js';
import { shuffleBlocks, shuffledBlocks } from '../../../../src/data/proxies/genesis/shuffle.js';
import type { XYZ } from '../../../../src/data/scan/volume.js';
import { randomStream } from '../../../../src/random.js';

const SIZE: XYZ = [64, 48, 32];
const VOXELS = 64 * 48 * 32;
const stream = (index: number) => randomStream(3, 'test', index);
/** Every voxel has a value of its own, between 0 and 1. */
const image = Float32Array.from({ length: VOXELS }, (_, i) => (i + 0.5) / VOXELS);
const place = (i: number) => [i % 64, Math.floor(i / 64) % 48, Math.floor(i / (64 * 48))] as const;
/** The voxel that had a value. */
const origin = (value: number) => Math.round(value * VOXELS - 0.5);
const equal = (a: Float32Array, b: Float32Array) => Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
const isInner = (v: number) => place(v).every((at, axis) => at >= 3 && at < SIZE[axis]! - 3);
const changed = (result: Float32Array) => [...result.keys()].filter((i) => result[i] !== image[i]);

describe('a flip', () => {
  test.each([0, 1, 2] as const)('along axis %i moves every voxel to the opposite place', (axis) => {
    const flipped = flip(image, SIZE, [axis]);
    for (const i of [0, 1, 5000, VOXELS - 1]) {
      const [from, to] = [place(origin(flipped[i]!)), place(i)];
      for (const other of [0, 1, 2])
        expect(from[other]).toBe(other === axis ? SIZE[axis] - 1 - to[axis] : to[other]);
    }
    expect(equal(flip(flipped, SIZE, [axis]), image)).toBe(true);
  });

  test('along several axes is one after the other, and twice along one is none', () => {
    expect(equal(flip(image, SIZE, [0, 2]), flip(flip(image, SIZE, [2]), SIZE, [0]))).toBe(true);
    expect(equal(flip(image, SIZE, [1, 0, 1]), flip(image, SIZE, [0]))).toBe(true);
  });

  test('is drawn up to three times, each after another with probability 0.4', () => {
    const draws = Array.from({ length: 4000 }, (_, i) => drawFlips(stream(i)));
    for (const [count, share] of [0.6, 0.24, 0.096, 0.064].entries())
      expect(draws.filter(({ length }) => length === count).length / 4000).toBeCloseTo(share, 1);
    for (const axis of [0, 1, 2])
      expect(draws.filter(([first]) => first === axis).length / 4000).toBeCloseTo(0.4 / 3, 1);
  });
});

describe('local shuffling', () => {
  test('of one block keeps its values and touches nothing else', () => {
    let moved = 0;
    for (let i = 0; i < 50; i++) {
      const shuffled = shuffleBlocks(image, SIZE, stream(i), 1);
      const voxels = changed(shuffled);
      moved += voxels.length;
      expect(voxels.map((v) => shuffled[v]!).sort()).toEqual(voxels.map((v) => image[v]!).sort());
      for (const [axis, length] of SIZE.entries()) {
        const along = voxels.map((v) => place(v)[axis]!);
        expect(Math.max(...along) - Math.min(...along)).toBeLessThan(length / 10);
      }
    }
    expect(moved).toBeGreaterThan(500);
  });

  test('of all blocks moves no value further than a block, and most of them', () => {
    const shuffled = shuffleBlocks(image, SIZE, stream(0));
    const voxels = changed(shuffled);
    expect(voxels.length / VOXELS).toBeGreaterThan(0.6);
    const isFar = (v: number) => {
      const [to, from] = [place(v), place(origin(shuffled[v]!))];
      return to.some((at, axis) => Math.abs(at - from[axis]!) >= SIZE[axis]! / 10);
    };
    expect(voxels.filter(isFar)).toEqual([]);
  });

  test('has 10,000 blocks at 64×64×32, and covers other sizes as often', () => {
    expect(
      [[64, 64, 32] as const, [32, 32, 16] as const, [128, 128, 64] as const].map(shuffledBlocks),
    ).toEqual([10_000, 7656, 13_254]);
  });
});

describe('non-linear intensity', () => {
  const ramp = Float32Array.from({ length: 2001 }, (_, i) => i / 2000);

  test('is monotone from 0 to 1, or from 1 to 0, and half the time falling', () => {
    const curves = Array.from({ length: 1000 }, (_, i) => drawCurve(stream(i)));
    for (const curve of curves.slice(0, 200)) {
      const mapped = mapIntensities(ramp, curve);
      expect([mapped[0], mapped[2000]]).toEqual(curve.falling ? [1, 0] : [0, 1]);
      const rising = curve.falling ? mapped.toReversed() : mapped;
      expect(rising.every((value, v) => v === 0 || value >= rising[v - 1]! - 1e-6)).toBe(true);
      expect(mapped.every((value) => value >= 0 && value <= 1)).toBe(true);
    }
    expect(curves.filter(({ falling }) => falling).length / 1000).toBeCloseTo(0.5, 1);
  });

  test.each([
    ['a straight line', [1 / 3, 1 / 3, 2 / 3, 2 / 3], (x: number) => x],
    // x(t) = t, y(t) = t³
    ['a cube', [1 / 3, 0, 2 / 3, 0], (x: number) => x ** 3],
    // x(t) = t³, y(t) = t³ − 3t² + 3t
    ['an upright start', [0, 1, 0, 1], (x: number) => 1 - (1 - Math.cbrt(x)) ** 3],
  ] as const)('follows the curve of its control points: %s', (_, controls, expected) => {
    const mapped = mapIntensities(ramp, { controls, falling: false });
    // The first cell of a curve that starts upright is a line.
    for (const i of [0, 40, 100, 777, 1000, 1999, 2000])
      expect(Math.abs(mapped[i]! - expected(i / 2000))).toBeLessThan(2e-4);
  });

  test('falling is rising read backwards', () => {
    const controls = [0.2, 0.7, 0.4, 0.9] as const;
    const falling = mapIntensities(ramp, { controls, falling: true });
    const turned = [0.2, 0.1, 0.4, 0.3] as const; // y turned over: 1 − y of the other control point
    const rising = mapIntensities(ramp, { controls: turned, falling: false });
    for (const i of [0, 500, 1300, 2000]) expect(falling[i]! + rising[i]!).toBeCloseTo(1, 4);
  });
});

describe('painting', () => {
  test('inside fills at most five boxes of a sixth to a third of every side, away from the edges', () => {
    const shares = Array.from({ length: 100 }, (_, i) => {
      const voxels = changed(inPaint(image, SIZE, stream(i)));
      expect(voxels.every(isInner)).toBe(true);
      return voxels.length / VOXELS;
    });
    expect(Math.max(...shares)).toBeLessThan(5 / 27);
    expect(shares.filter((share) => share === 0).length).toBeLessThan(15);
    const least = (10 * 8 * 5) / VOXELS;
    expect(shares.every((share) => share === 0 || share >= least * 0.99)).toBe(true);
  });

  test('outside keeps one to five boxes of 3/7 to 4/7 of every side, away from the edges', () => {
    const shares = Array.from({ length: 60 }, (_, i) => {
      const result = outPaint(image, SIZE, stream(i));
      const kept = [...result.keys()].filter((v) => result[v] === image[v]);
      // Noise that happens to equal the image may be anywhere.
      expect(kept.filter((v) => !isInner(v)).length).toBeLessThan(20);
      expect(result.every((value) => value >= 0 && value <= 1)).toBe(true);
      return kept.length / VOXELS;
    });
    expect(Math.min(...shares)).toBeGreaterThanOrEqual((28 * 21 * 14) / VOXELS);
    expect(Math.max(...shares)).toBeLessThan(5 * (4 / 7 + 1 / 32) ** 3);
    expect(shares.filter((share) => share > (37 * 28 * 19) / VOXELS).length).toBeGreaterThan(45);
  });

  test('paints evenly distributed noise', () => {
    const black = new Float32Array(VOXELS);
    const noise = outPaint(black, SIZE, stream(1)).filter((value) => value > 0);
    const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length;
    const square = noise.reduce((sum, value) => sum + value * value, 0) / noise.length;
    expect(mean).toBeCloseTo(1 / 2, 2);
    expect(square).toBeCloseTo(1 / 3, 2);
  });
});

describe('a corruption', () => {
  test('is the same for the same stream, and leaves the image as it was', () => {
    const before = image.slice();
    const once = Array.from({ length: 10 }, (_, i) => corrupt(image, SIZE, stream(i)));
    const again = Array.from({ length: 10 }, (_, i) => corrupt(image, SIZE, stream(i)));
    for (const [i, { corrupted, target }] of once.entries()) {
      expect(equal(corrupted, again[i]!.corrupted) && equal(target, again[i]!.target)).toBe(true);
      expect(once.filter((other) => equal(other.corrupted, corrupted))).toHaveLength(1);
    }
    expect(equal(image, before)).toBe(true);
  });

  test.each([0, 1, 2] as const)('flips image and target alike along axis %i', (axis) => {
    // One end is 1 and the rest 0, which curves keep or exchange; shuffling reaches only near the border of both.
    const border = SIZE[axis] / 4;
    const marked = image.map((_, v) => (place(v)[axis]! < border ? 1 : 0));
    const isClear = (v: number) => {
      const [at, length] = [place(v)[axis]!, SIZE[axis]];
      return [border, length - border].every((b) => Math.abs(at + 0.5 - b) > length / 10);
    };
    let flipped = 0;
    for (let i = 0; i < 30; i++) {
      const { corrupted, target } = corrupt(marked, SIZE, stream(i));
      if (!equal(target, marked)) flipped++;
      const seen = [...corrupted.keys()].filter((v) => isClear(v) && [0, 1].includes(corrupted[v]!));
      const alike = seen.filter((v) => corrupted[v] === target[v]);
      expect(seen.length).toBeGreaterThan(1000);
      expect([0, seen.length]).toContain(alike.length);
    }
    expect(flipped).toBeGreaterThan(1);
  });

  test('is done as often as it should be', () => {
    const size: XYZ = [16, 16, 16];
    const flat = new Float32Array(4096).fill(0.5);
    // In a flat image shuffling is not seen; new intensities are one other value, noise is many.
    const found = Array.from({ length: 1000 }, (_, i) => {
      const { corrupted } = corrupt(flat, size, stream(i));
      const counts = new Map<number, number>();
      for (const value of corrupted) counts.set(value, (counts.get(value) ?? 0) + 1);
      const [[value, count]] = [...counts].sort((a, b) => b[1] - a[1]) as [[number, number]];
      return { isCurved: value !== 0.5, noise: 1 - count / 4096 };
    });
    const share = (of: (sample: (typeof found)[number]) => boolean) => found.filter(of).length / 1000;
    expect(share(({ isCurved }) => isCurved)).toBeCloseTo(0.9, 1);
    expect(share(({ noise }) => noise === 0)).toBeCloseTo(0.1 + 0.9 * 0.2 * 0.05, 1);
    expect(share(({ noise }) => noise > 0.19)).toBeCloseTo(0.9 * 0.8, 1);
  });

  test('of images of a few voxels is possible', () => {
    for (const size of [
      [8, 8, 4],
      [2, 3, 1],
      [1, 1, 1],
    ] as const) {
      const small = new Float32Array(size[0] * size[1] * size[2]).fill(0.25);
      for (let i = 0; i < 50; i++) {
        const { corrupted } = corrupt(small, size, stream(i));
        expect(corrupted.every((value) => value >= 0 && value <= 1)).toBe(true);
      }
    }
  });
});
