import { voxelCount } from '../data/scan/scan.js';
import type { XYZ } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import { squaredDistances } from './distance-transform.js';
import { notAMask } from './not-a-mask.js';
import { quantile } from './statistics.js';

export interface SurfaceMeasures {
  /** The larger of the two 95th percentiles of distances from one surface to the other, mm. NaN if a mask is empty. */
  readonly hausdorff95_mm: number;
  /** Share of both surfaces that lies within the tolerance of the other. 0 if one mask is empty, NaN if both are. */
  readonly surface_dice: number;
}

/**
 * How far the surfaces of two masks are apart. A surface is made of the foreground voxels that touch the background,
 * or the end of the image, with a face; each counts as one point at its centre. These are MONAI's
 * `compute_hausdorff_distance(percentile=95)` and `compute_surface_dice`, for empty masks too.
 * @param prediction 0 and 1, x fastest
 * @param reference the same
 * @param size voxels along x, y, z
 * @param spacing mm along x, y, z
 * @throws UserError when a mask is not of this size, or has other values
 * @example
 * const measures = surfaceMeasures(prediction, reference, [64, 64, 32], [0.7, 0.7, 1.5], 1);
 */
export function surfaceMeasures(
  prediction: Uint8Array,
  reference: Uint8Array,
  size: XYZ,
  spacing: XYZ,
  toleranceMm: number,
): SurfaceMeasures {
  checkMask('prediction', prediction, size);
  checkMask('reference', reference, size);
  const box = boundingBox([prediction, reference], size);
  const [a, b] = [surfaceOf(prediction, size, box), surfaceOf(reference, size, box)];
  const distances = [distancesBetween(a, b, box.size, spacing), distancesBetween(b, a, box.size, spacing)];
  // In float32, as MONAI compares: a spacing of float32(0.1) then is within a tolerance of 0.1.
  const tolerance = Math.fround(toleranceMm);
  const within = distances.map((d) => d.reduce((n, mm) => n + (Math.fround(mm) <= tolerance ? 1 : 0), 0));
  const [from, to] = distances.map((d) =>
    d.includes(Number.POSITIVE_INFINITY) ? Number.NaN : quantile(d, 0.95),
  );
  return {
    hausdorff95_mm: Math.max(from!, to!),
    surface_dice: (within[0]! + within[1]!) / (distances[0]!.length + distances[1]!.length),
  };
}

/** @throws UserError unless a mask has a voxel for each of the image, 0 or 1 */
function checkMask(where: string, mask: Uint8Array, size: XYZ): void {
  if (mask.length !== voxelCount(size))
    throw new UserError('usage', {
      what: 'the mask is not of the size of the image',
      where,
      got: `${mask.length} voxels`,
      expected: `${voxelCount(size)}, for ${size.join('×')} voxels`,
    });
  // Several times faster than `find`.
  for (let i = 0; i < mask.length; i++) if (mask[i]! > 1) throw notAMask(where, mask[i]!);
}

interface Box {
  readonly start: XYZ;
  readonly size: XYZ;
}

/** The smallest box with all foreground of all masks; of size 0 when there is none. */
function boundingBox(masks: readonly Uint8Array[], [width, height, depth]: XYZ): Box {
  const low = [width, height, depth];
  const high = [-1, -1, -1];
  for (const mask of masks) {
    for (let row = 0; row < height * depth; row++) {
      const voxels = mask.subarray(row * width, (row + 1) * width);
      const first = voxels.indexOf(1);
      if (first < 0) continue;
      const [y, z] = [row % height, Math.floor(row / height)];
      [first, y, z].forEach((at, axis) => {
        low[axis] = Math.min(low[axis]!, at);
      });
      [voxels.lastIndexOf(1), y, z].forEach((at, axis) => {
        high[axis] = Math.max(high[axis]!, at);
      });
    }
  }
  const length = (axis: 0 | 1 | 2) => Math.max(0, high[axis]! + 1 - low[axis]!);
  return { start: [low[0]!, low[1]!, low[2]!], size: [length(0), length(1), length(2)] };
}

/** The part of a mask in a box, with only the voxels that touch the background with a face, or the box's side. */
function surfaceOf(mask: Uint8Array, size: XYZ, box: Box): Uint8Array {
  const [width, height, depth] = box.size;
  const slice = width * height;
  const crop = new Uint8Array(slice * depth);
  for (let row = 0; row < height * depth; row++) {
    const [y, z] = [box.start[1] + (row % height), box.start[2] + Math.floor(row / height)];
    const from = box.start[0] + size[0] * (y + size[1] * z);
    crop.set(mask.subarray(from, from + width), row * width);
  }
  const surface = new Uint8Array(crop.length);
  for (let z = 0, i = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      const side = z === 0 || z === depth - 1 || y === 0 || y === height - 1;
      for (let x = 0; x < width; x++, i++) {
        if (crop[i] === 0) continue;
        const buried =
          !(side || x === 0 || x === width - 1) &&
          crop[i - 1] === 1 &&
          crop[i + 1] === 1 &&
          crop[i - width] === 1 &&
          crop[i + width] === 1 &&
          crop[i - slice] === 1 &&
          crop[i + slice] === 1;
        if (!buried) surface[i] = 1;
      }
    }
  }
  return surface;
}

/** Distances in mm of all points of one surface to the nearest of the other; infinite when that has none. */
function distancesBetween(from: Uint8Array, to: Uint8Array, size: XYZ, spacing: XYZ): Float64Array {
  const squares = squaredDistances(to, size, spacing);
  const distances = new Float64Array(from.reduce((count, point) => count + point, 0));
  for (let i = 0, n = 0; i < from.length; i++) {
    if (from[i] === 1) distances[n++] = Math.sqrt(squares[i]!);
  }
  return distances;
}
