import type { RandomStream } from '../../../random.js';
import type { XYZ } from '../../scan/volume.js';

export interface PartOptions {
  /** Least and most share of the whole's volume. */
  readonly scale: readonly [low: number, high: number];
  /** Least and most ratio of a part's sides, each relative to the whole's: x to y, and x to z. */
  readonly ratio: readonly [low: number, high: number];
  /** Every part has the whole's proportions; `ratio` is not used. */
  readonly isotropic: boolean;
}

export const DEFAULT_PART: PartOptions = { scale: [1 / 16, 1 / 4], ratio: [3 / 4, 4 / 3], isotropic: false };

/** A cuboid of voxels. */
export interface Box {
  readonly start: XYZ;
  readonly size: XYZ;
}

const MAX_REDRAWS = 10;

/**
 * Draws a part of a whole, of random volume, proportions and place.
 *
 * Volume share v ~ U(scale); side = v^⅓ · exp(e) · side of the whole, where the logarithms of the ratios x:y
 * and x:z are uniform and Σe = 0, so that the ratios leave the volume as it is. Ratios that do not fit into the
 * whole are drawn again (not v: small parts would be favoured); after ten times the sides are cut off and the
 * part is centred, as torchvision's RandomResizedCrop does.
 * @param whole voxels along x, y, z
 * @example
 * const { start, size } = samplePart(randomStream(config.seed, 'part', 0, 7), [128, 128, 64], config.part);
 */
export function samplePart(random: RandomStream, whole: XYZ, options: PartOptions): Box {
  const scale = Math.cbrt(random.between(...options.scale));
  let factors = sideFactors(random, scale, options);
  for (let i = 0; i < MAX_REDRAWS && !fits(factors); i++) factors = sideFactors(random, scale, options);
  const side = (axis: 0 | 1 | 2) => clamp(Math.round(factors[axis] * whole[axis]), 1, whole[axis]);
  const size: XYZ = [side(0), side(1), side(2)];
  const start = (axis: 0 | 1 | 2) => {
    const free = whole[axis] - size[axis];
    return fits(factors) ? random.integer(free + 1) : Math.floor(free / 2);
  };
  return { start: [start(0), start(1), start(2)], size };
}

/** Voxels of the smallest box that holds any part which {@link samplePart} draws. */
export function largestPart(whole: XYZ, { scale, ratio, isotropic }: PartOptions): XYZ {
  const [low, high] = isotropic ? [0, 0] : [Math.log(ratio[0]), Math.log(ratio[1])];
  // The logarithms of the sides, x first, are (xy + xz)/3, (xz − 2xy)/3 and (xy − 2xz)/3.
  const other = (high - 2 * low) / 3;
  const side = (axis: 0 | 1 | 2, logarithm: number) =>
    Math.min(
      whole[axis],
      Math.max(1, Math.round(Math.cbrt(scale[1]) * Math.exp(logarithm) * whole[axis] + 1e-6)),
    );
  return [side(0, (2 * high) / 3), side(1, other), side(2, other)];
}

/** Sides relative to the whole's: their product is scale³. */
function sideFactors(random: RandomStream, scale: number, { ratio, isotropic }: PartOptions): XYZ {
  if (isotropic) return [scale, scale, scale];
  const [low, high] = [Math.log(ratio[0]), Math.log(ratio[1])];
  const xy = random.between(low, high);
  const xz = random.between(low, high);
  const x = (xy + xz) / 3;
  return [scale * Math.exp(x), scale * Math.exp(x - xy), scale * Math.exp(x - xz)];
}

const fits = (factors: XYZ) => factors.every((factor) => factor <= 1);

const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);

/**
 * Linear resampling of one axis as a matrix [to, from], row-major: point i lies at
 * `start + (i + ½) · length / to − ½`, so centres are centres (half-pixel convention), and points beyond the first
 * or last voxel of the box take its value. No smoothing when shrinking.
 * @param start first voxel of the box that is resampled
 * @param length voxels of the box
 * @param from voxels of the axis
 * @param to points
 */
export function interpolationMatrix(start: number, length: number, from: number, to: number): Float32Array {
  const matrix = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    const place = clamp(start + ((i + 0.5) * length) / to - 0.5, start, start + length - 1);
    const voxel = Math.floor(place);
    const weight = place - voxel;
    matrix[i * from + voxel] = 1 - weight;
    if (weight > 0) matrix[i * from + voxel + 1] = weight;
  }
  return matrix;
}

/** One matrix an axis that cut and resize a part: the part is `depth · height · tile · width`. */
export interface PartMatrices {
  /** [D, D₀] */
  readonly depth: Float32Array;
  /** [H, H₀] */
  readonly height: Float32Array;
  /** [W₀, W]: it is multiplied from the right. */
  readonly width: Float32Array;
}

/** The matrices that resize a box of a tile to the whole's size, trilinearly. */
export function partMatrices({ start, size }: Box, tileSize: XYZ, wholeSize: XYZ): PartMatrices {
  const along = (axis: 0 | 1 | 2) =>
    interpolationMatrix(start[axis], size[axis], tileSize[axis], wholeSize[axis]);
  return { depth: along(2), height: along(1), width: transposed(along(0), wholeSize[0], tileSize[0]) };
}

/** [rows, columns] → [columns, rows]. */
function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = matrix[i * columns + j]!;
  }
  return result;
}
