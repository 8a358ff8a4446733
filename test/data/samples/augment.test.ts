import { describe, expect, test } from 'vitest';
import { type Augmentation, augmented } from '../../../src/data/samples/augment.js';
import type { SampleFormat } from '../../../src/data/samples/manifest.js';
import type { XYZ } from '../../../src/data/scan/volume.js';
import { randomStream } from '../../../src/random.js';
import { ballScan } from './labelled-data.js';

const SIZE: XYZ = [16, 12, 8];
const VOXELS = SIZE[0] * SIZE[1] * SIZE[2];
const NONE: Augmentation = { flips: false, rotationDegrees: 0, intensity: 0 };
const format = (window: SampleFormat['window']): SampleFormat => ({
  ...{ task: 'manifest', kind: 'segmentation', classes: ['a'], size: SIZE, channels: 1, type: 'float32' },
  window,
});
const at = (i: number, axis: 0 | 1 | 2) =>
  [i % SIZE[0], Math.floor(i / SIZE[0]) % SIZE[1], Math.floor(i / (SIZE[0] * SIZE[1]))][axis]!;

describe('intensities', () => {
  const MOST = 0.2;
  const [low, high, middle] = [100, 900, 500];
  /** Contrast, and brightness as a share of the window, by which the values of an image have changed. */
  const changes = Array.from({ length: 300 }, (_, seed) => {
    const image = Float32Array.from({ length: VOXELS }, (__, i) => low + i / 2);
    const { image: changed } = augmented(
      { image, mask: null },
      format({ low, high }),
      [1, 1, 1],
      { ...NONE, intensity: MOST },
      randomStream(seed, 'augment'),
    );
    const contrast = (changed[100]! - changed[0]!) / 50;
    // What the middle of the window has become.
    const brightness = (changed[0]! + contrast * (middle - low) - middle) / (high - low);
    expect(changed[57]).toBeCloseTo(changed[0]! + contrast * 28.5, 2);
    return { contrast, brightness };
  });

  test.each([
    ['contrast', 1],
    ['brightness', 0],
  ] as const)('%s changes up and down, by up to its share of the window', (name, centre) => {
    const values = changes.map((change) => change[name] - centre);
    expect(Math.max(...values)).toBeLessThan(MOST + 1e-4);
    expect(Math.min(...values)).toBeGreaterThan(-MOST - 1e-4);
    expect(Math.max(...values)).toBeGreaterThan(0.8 * MOST);
    expect(Math.min(...values)).toBeLessThan(-0.8 * MOST);
  });

  test('both are drawn apart', () => {
    const product = changes.reduce((sum, change) => sum + (change.contrast - 1) * change.brightness, 0);
    expect(Math.abs(product / changes.length)).toBeLessThan(0.2 * (MOST ** 2 / 3));
  });
});

test.each([{ rotationDegrees: 20 }, { intensity: 0.2 }, { rotationDegrees: 20, intensity: 0.2 }])(
  'what lies beyond the window counts as its end before images change by %j',
  (change) => {
    const window = { low: -1000, high: 1000 };
    const step = (low: number, high: number) =>
      augmented(
        { image: Float32Array.from({ length: VOXELS }, (_, i) => (at(i, 0) < 8 ? low : high)), mask: null },
        format(window),
        [1, 1, 1],
        { ...NONE, ...change },
        randomStream(5, 'augment'),
      ).image;
    expect(step(-3024, 3000)).toEqual(step(-1000, 1000));
    expect(step(-1000, 40)).not.toEqual(step(-1000, 1000));
  },
);

describe.each([
  ['flips', { ...NONE, flips: true }],
  ['rotations', { ...NONE, rotationDegrees: 20 }],
  ['both', { ...NONE, flips: true, rotationDegrees: 20 }],
])('with %s', (_, augmentation) => {
  test.each([0, 1, 2] as const)('a mask is turned as its image, along axis %i', (axis) => {
    const border = SIZE[axis] / 2 - 0.5;
    let changed = 0;
    for (let seed = 0; seed < 10; seed++) {
      const ramp = Float32Array.from({ length: VOXELS }, (__, i) => at(i, axis));
      const mask = Uint8Array.from(ramp, (place) => Number(place > border));
      const variant = augmented(
        { image: ramp, mask },
        format(null),
        [1, 1.5, 2],
        augmentation,
        randomStream(seed, 'augment'),
      );
      // A ramp stays exact between voxels: it says where each voxel of the mask comes from.
      const wrong = [...variant.image].filter(
        (place, i) => Math.abs(place - border) > 1e-3 && Number(place > border) !== variant.mask![i],
      );
      expect(wrong).toEqual([]);
      if (variant.image.some((place, i) => place !== ramp[i])) changed++;
    }
    expect(changed).toBeGreaterThan(1);
  });
});

test('rotations are those of the patient: by millimetres, and no further than asked for', () => {
  const spacing = [1, 1.5, 2] as const;
  const augmentation = { ...NONE, rotationDegrees: 20 };
  for (let seed = 0; seed < 10; seed++) {
    // Where each voxel comes from, in mm, by an image for each axis.
    const sources = ([0, 1, 2] as const).map((axis) => {
      const image = Float32Array.from({ length: VOXELS }, (_, i) => at(i, axis) * spacing[axis]);
      return augmented(
        { image, mask: null },
        format(null),
        spacing,
        augmentation,
        randomStream(seed, 'augment'),
      ).image;
    });
    // Around the middle, from where no border is reached.
    const middle = SIZE[0] / 2 + SIZE[0] * (SIZE[1] / 2 + SIZE[1] * (SIZE[2] / 2));
    for (const [axis, step] of [1, SIZE[0], SIZE[0] * SIZE[1]].entries()) {
      const moved = sources.map((source) => (source[middle + step]! - source[middle]!) / spacing[axis]!);
      expect(Math.hypot(...moved)).toBeCloseTo(1, 3);
      expect(moved[axis]).toBeGreaterThan(Math.cos((20 * Math.PI) / 180) ** 2 - 1e-3);
    }
  }
});

describe('an int16 image and its mask', () => {
  const scan = ballScan([12, 10, 9], 3, 7);
  const int16: SampleFormat = {
    ...{ task: 't', kind: 'segmentation', classes: ['ball'], size: [12, 10, 9], channels: 1, type: 'int16' },
    window: { low: -1000, high: 1000 },
  };
  const content = { image: scan.image.voxels as Int16Array, mask: scan.ball };

  test('flips move image and mask together, and lose nothing', () => {
    const none = { flips: false, rotationDegrees: 0, intensity: 0 };
    const stream = (i: number) => randomStream(i, 'augment');
    expect(augmented(content, int16, [1, 1, 1], none, stream(1))).toEqual(content);
    const seen = new Set<string>();
    for (let i = 0; i < 60; i++) {
      const { image, mask } = augmented(content, int16, [1, 1, 2], { ...none, flips: true }, stream(i));
      expect([...image].sort()).toEqual([...content.image].sort());
      const bright = [...image].reduce((sum, hu, at) => sum + (mask![at] ? hu : 0), 0);
      expect(bright).toBe([...content.image].reduce((sum, hu, at) => sum + (scan.ball[at] ? hu : 0), 0));
      seen.add(image.join());
    }
    expect(seen.size).toBe(8);
  });

  test('a rotation keeps the ball’s size, and respects spacing; intensity changes values only', () => {
    const turned = augmented(
      content,
      int16,
      [1, 1, 1],
      { flips: false, rotationDegrees: 30, intensity: 0 },
      randomStream(3, 'augment'),
    );
    const volume = (mask: Uint8Array) => mask.reduce((sum, v) => sum + v, 0);
    expect(turned.image).not.toEqual(content.image);
    expect(Math.abs(volume(turned.mask!) / volume(scan.ball) - 1)).toBeLessThan(0.15);
    const coloured = augmented(
      content,
      int16,
      [1, 1, 1],
      { flips: false, rotationDegrees: 0, intensity: 0.2 },
      randomStream(4, 'augment'),
    );
    expect(coloured.mask).toBe(content.mask);
    expect(coloured.image).not.toEqual(content.image);
  });

  test('what becomes brighter than int16 can say stays the brightest', () => {
    const image = new Int16Array(1080).fill(32_767);
    const bright = { ...int16, window: { low: 30_000, high: 32_767 } };
    for (let i = 0; i < 20; i++) {
      const augmentation = { flips: false, rotationDegrees: 0, intensity: 0.5 };
      const changed = augmented(
        { image, mask: scan.ball },
        bright,
        [1, 1, 1],
        augmentation,
        randomStream(i, 'augment'),
      );
      // Contrast falls to a half at most, and brightness by a half of the window.
      expect(Math.min(...changed.image)).toBeGreaterThan(30_000);
    }
  });
});
