import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { squaredDistances } from '../../src/analysis/distance-transform.js';
import { overlapMeasures } from '../../src/analysis/overlap.js';
import { surfaceMeasures } from '../../src/analysis/surface.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { UserError } from '../../src/errors.js';
import { golden } from './golden.js';

describe.each(golden.masks.map((pair, i) => ({ ...pair, i })))('pair $i', (pair) => {
  const probabilities = Float32Array.from(pair.percent, (percent) => percent / 100);
  const reference = Uint8Array.from(pair.reference, Number);
  const predicted = Uint8Array.from(probabilities, (p) => (p > 0.5 ? 1 : 0));

  it('overlap agrees with scikit-learn and MONAI', () => {
    const found: Record<string, number> = { ...overlapMeasures(probabilities, reference) };
    const names = Object.keys(found).filter((name) => name in pair.values);
    expect(names).toContain('soft_dice');
    // MONAI sums float32 probabilities in float64, as we do.
    for (const name of names) {
      const expected = pair.values[name]!;
      if (expected === null) expect(found[name], name).toBeNaN();
      else expect(found[name], name).toBeCloseTo(expected, 12);
    }
  });

  it('distances agree with MONAI and SciPy, for empty masks too', () => {
    const found = surfaceMeasures(predicted, reference, pair.size, pair.spacing, pair.tolerance);
    for (const name of ['hausdorff95_mm', 'surface_dice'] as const) {
      const expected = pair.values[name]!;
      if (expected === null) expect(found[name]).toBeNaN();
      else expect(found[name]).toBeCloseTo(expected, 12);
    }
  });
});

const mask = (length: number) =>
  fc.array(fc.integer({ min: 0, max: 1 }), { minLength: length, maxLength: length });
const side = fc.integer({ min: 1, max: 5 });
const size: fc.Arbitrary<XYZ> = fc.tuple(side, side, side);
const mm = fc.constantFrom(0.5, 0.7, 1, 2.5);
const spacing: fc.Arbitrary<XYZ> = fc.tuple(mm, mm, mm);
const volume = size.chain((xyz) => fc.tuple(fc.constant(xyz), spacing, mask(xyz[0] * xyz[1] * xyz[2])));

describe('overlapMeasures', () => {
  it('of masks: Dice is 2 I / (1 + I), and both are the same either way round', () => {
    fc.assert(
      fc.property(mask(40), mask(40), (a, b) => {
        const [ab, ba] = [overlapMeasures(a, b), overlapMeasures(b, a)];
        expect(ba).toEqual(ab);
        const iou = ab['iou_fg@0.5'];
        if (Number.isNaN(iou)) expect(ab['dice@0.5']).toBeNaN();
        else expect(ab['dice@0.5']).toBeCloseTo((2 * iou) / (1 + iou), 12);
        if (Number.isNaN(iou)) expect(ab).toEqual(overlapMeasures([0], [0]));
        else expect(ab.miou_genesis).toBeCloseTo(ab['iou2@0.5'], 12);
      }),
    );
  });

  it('of 59.22 % IoU is 74.39 % Dice', () => {
    const [a, b] = [new Uint8Array(20_000), new Uint8Array(20_000)];
    a.fill(1, 0, 7961);
    b.fill(1, 2039, 10_000);
    const found = overlapMeasures(a, b);
    expect(found['iou_fg@0.5']).toBeCloseTo(0.5922, 4);
    expect(found['dice@0.5']).toBeCloseTo(0.7439, 4);
  });

  it('a probability at a threshold is not above it, in float32', () => {
    const found = overlapMeasures(Float32Array.of(0.55, 0.5), [1, 1]);
    // 0.55 is foreground at 0.50 only; IoU of the foreground 1/2 once, 0 nine times; there is no true background.
    expect(found.miou_genesis).toBeCloseTo(0.5 / 2 / 10, 12);
  });

  it.each([
    ['empty masks', [0, 0]],
    ['probabilities that find nothing', [0.5, 0.1]],
  ])('are not defined where there is no foreground: %s', (_, probabilities) => {
    const found = overlapMeasures(Float32Array.from(probabilities), [0, 0]);
    expect(Object.values(found)).toEqual(Object.values(found).map(() => Number.NaN));
    expect(Object.keys(found)).toHaveLength(5);
  });
});

describe('what is no pair of masks is refused', () => {
  const one: XYZ = [1, 1, 1];
  it.each<[string, () => unknown, RegExp]>([
    ['too short a prediction', () => overlapMeasures([0.9], [1, 0]), /1 and 2 voxels/],
    ['too short a reference', () => overlapMeasures([0.9, 0.1], [1]), /2 and 1 voxels/],
    ['a reference of 0 and 255', () => overlapMeasures([0.9, 0.1], [255, 0]), /reference: .*mask[\s\S]*255/],
    [
      'surfaces of too short a prediction',
      () => surfaceMeasures(Uint8Array.of(1), Uint8Array.of(1, 0), [2, 1, 1], one, 1),
      /prediction: [\s\S]*1 voxels[\s\S]*2, for 2×1×1/,
    ],
    [
      'surfaces of too long a reference',
      () => surfaceMeasures(Uint8Array.of(1, 0), Uint8Array.of(1, 0, 0), [2, 1, 1], one, 1),
      /reference: [\s\S]*3 voxels/,
    ],
    [
      'surfaces of masks of 0 and 255',
      () => surfaceMeasures(Uint8Array.of(0, 1), Uint8Array.of(0, 255), [2, 1, 1], one, 1),
      /reference: .*mask[\s\S]*255/,
    ],
  ])('%s', (_, measure, message) => {
    expect(measure).toThrow(UserError);
    expect(measure).toThrow(message);
  });
});

describe('squaredDistances', () => {
  it('are the least over all marked voxels', () => {
    fc.assert(
      fc.property(volume, ([[w, h, d], mm, marked]) => {
        const found = squaredDistances(Uint8Array.from(marked), [w, h, d], mm);
        const at = (i: number) => [i % w, Math.floor(i / w) % h, Math.floor(i / (w * h))];
        marked.forEach((_, i) => {
          const squares = marked.flatMap((on, j) =>
            on ? [at(i).reduce((sum, a, k) => sum + ((a - at(j)[k]!) * mm[k]!) ** 2, 0)] : [],
          );
          if (squares.length === 0) expect(found[i]).toBe(Number.POSITIVE_INFINITY);
          else expect(found[i]).toBeCloseTo(Math.min(...squares), 10);
        });
      }),
    );
  });
});

describe('surfaceMeasures', () => {
  const cube = (at: XYZ, side: number, [w, h, d]: XYZ) =>
    Uint8Array.from({ length: w * h * d }, (_, i) =>
      [i % w, Math.floor(i / w) % h, Math.floor(i / (w * h))].every(
        (c, k) => c >= at[k]! && c < at[k]! + side,
      )
        ? 1
        : 0,
    );

  it('of a mask with itself are 0 mm and 1, and the same either way round', () => {
    fc.assert(
      fc.property(volume, fc.infiniteStream(fc.integer({ min: 0, max: 1 })), ([xyz, mm, first], bits) => {
        const a = Uint8Array.from(first);
        const b = Uint8Array.from(first, () => bits.next().value as number);
        expect(surfaceMeasures(a, b, xyz, mm, 1)).toEqual(surfaceMeasures(b, a, xyz, mm, 1));
        if (a.includes(1))
          expect(surfaceMeasures(a, a, xyz, mm, 0)).toEqual({ hausdorff95_mm: 0, surface_dice: 1 });
      }),
    );
  });

  it('are in mm, and do not depend on the air around', () => {
    const small: XYZ = [8, 8, 8];
    const large: XYZ = [20, 17, 30];
    const between = (box: XYZ, shift: number) => {
      const at: XYZ = [shift, shift, shift];
      const [a, b] = [cube(at, 4, box), cube([shift, shift, shift + 2], 4, box)];
      return surfaceMeasures(a, b, box, [1, 1, 2.5], 2);
    };
    expect(between(small, 1).hausdorff95_mm).toBe(5);
    expect(between(large, 9)).toEqual(between(small, 1));
  });
});
