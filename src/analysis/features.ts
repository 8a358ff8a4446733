import { UserError } from '../errors.js';

/** Feature vectors of parts, the same number from every whole: the input of every measure in this folder. */
export interface PartFeatures {
  /** At least 2. */
  readonly wholes: number;
  /** At least 2. */
  readonly partsPerWhole: number;
  readonly dimensions: number;
  /** [wholes · partsPerWhole, dimensions]; part p of whole w is row w · partsPerWhole + p. */
  readonly values: Float32Array;
}

/** Features of length 1. */
export interface UnitFeatures extends Omit<PartFeatures, 'values'> {
  readonly values: Float64Array;
}

/**
 * Every row divided by its Euclidean length, so that dot products are cosines; rows of zeros stay zero.
 * In float64: cosines of untrained features often differ after the sixth digit only, where float32 is noise.
 * @throws UserError when the shape cannot be compared (see {@link PartFeatures}) or a value is not finite
 */
export function l2Normalise(features: PartFeatures): UnitFeatures {
  checkShape(features);
  const { dimensions } = features;
  const values = new Float64Array(features.values.length);
  for (let start = 0; start < values.length; start += dimensions) {
    const length = Math.sqrt(dot(features.values, start, features.values, start, dimensions));
    if (!Number.isFinite(length)) {
      throw new UserError('training', {
        what: 'the encoder gave a feature that is not a number',
        where: `part ${start / dimensions}`,
        fix: 'use an earlier checkpoint; the training probably diverged, so lower its learning rate',
      });
    }
    if (length === 0) continue;
    for (let i = start; i < start + dimensions; i++) values[i] = features.values[i]! / length;
  }
  return { ...features, values };
}

function checkShape({ wholes, partsPerWhole, dimensions, values }: PartFeatures): void {
  const comparable = wholes >= 2 && partsPerWhole >= 2 && dimensions >= 1;
  if (comparable && values.length === wholes * partsPerWhole * dimensions) return;
  throw new UserError('usage', {
    what: 'these features cannot be compared',
    got: `${wholes} wholes × ${partsPerWhole} parts × ${dimensions} dimensions in ${values.length} values`,
    expected: 'at least 2 wholes with 2 parts each, and one value for every part and dimension',
  });
}

/** Dot product in float64 of `count` values of `a` from `aStart` with as many of `b` from `bStart`. */
export function dot(
  a: Float32Array | Float64Array,
  aStart: number,
  b: Float32Array | Float64Array,
  bStart: number,
  count: number,
): number {
  // Four sums, as each addition would have to wait for the one before.
  let [first, second, third, fourth] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < count; i += 4) {
    first += a[aStart + i]! * b[bStart + i]!;
    second += a[aStart + i + 1]! * b[bStart + i + 1]!;
    third += a[aStart + i + 2]! * b[bStart + i + 2]!;
    fourth += a[aStart + i + 3]! * b[bStart + i + 3]!;
  }
  for (; i < count; i++) first += a[aStart + i]! * b[bStart + i]!;
  return first + second + (third + fourth);
}
