/** Cutting samples out of scans. */
import type { LabelMap, Volume, XYZ } from './volume.js';

/** A grid of voxel positions in a scan: position i along an axis is `first + i · step`, in voxels of the scan. */
export interface CropGrid {
  readonly size: XYZ;
  readonly first: XYZ;
  readonly step: XYZ;
}

/** Spacings this close are the same: resampling would only blur. */
const SAME_SPACING = 0.01;

/** Voxels of a scan from one voxel of a grid to the next, along each axis. @param wanted spacing of the grid; the scan's own without it */
export const stepOf = ({ spacing }: Pick<Volume, 'spacing'>, wanted?: XYZ | null): XYZ =>
  spacing.map((mm, i) => {
    const ratio = wanted ? wanted[i]! / mm : 1;
    return Math.abs(ratio - 1) <= SAME_SPACING ? 1 : ratio;
  }) as unknown as XYZ;

/**
 * The crop of `size` voxels around a place of a scan: on the scan's own voxels along axes that are not resampled.
 * @param centre in voxels of the scan, may lie between them
 * @param spacing of the crop's voxels in mm; the scan's own without it
 */
export function cropAround(scan: Pick<Volume, 'spacing'>, centre: XYZ, size: XYZ, spacing?: XYZ): CropGrid {
  const step = stepOf(scan, spacing);
  const first = size.map((n, i) => {
    const start = centre[i]! - ((n - 1) / 2) * step[i]!;
    return step[i] === 1 ? Math.round(start) : start;
  }) as unknown as XYZ;
  return { size, first, step };
}

/** The positions of a grid along one axis. */
const positionsOf = ({ size, first, step }: CropGrid, axis: 0 | 1 | 2) =>
  Float64Array.from({ length: size[axis] }, (_, i) => first[axis] + i * step[axis]);

/**
 * Lower neighbour, upper neighbour and weight of the upper one, for each position along an axis; ends repeat.
 * @param length voxels along the axis
 * @param positions in voxels
 */
export function neighbours(length: number, positions: Float64Array) {
  const low = new Int32Array(positions.length);
  const high = new Int32Array(positions.length);
  const weight = new Float64Array(positions.length);
  for (let i = 0; i < positions.length; i++) {
    const at = Math.min(Math.max(positions[i]!, 0), length - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(low[i]! + 1, length - 1);
    weight[i] = at - low[i]!;
  }
  return { low, high, weight };
}

/** Whether each position along an axis is in the scan, half a voxel around it included. */
const inside = (length: number, positions: Float64Array) =>
  Uint8Array.from(positions, (at) => (at >= -0.5 && at <= length - 0.5 ? 1 : 0));

/** For each axis of a scan, the positions of a grid along it: their neighbours, and which are in the scan. */
const axesOf = (size: XYZ, grid: CropGrid) => {
  const along = (axis: 0 | 1 | 2) => {
    const positions = positionsOf(grid, axis);
    return { ...neighbours(size[axis], positions), isInside: inside(size[axis], positions) };
  };
  return [along(0), along(1), along(2)] as const;
};

/**
 * Values of a scan on a crop's grid, trilinear.
 * @param outside what the crop has where the scan ends; null repeats the scan's last voxels
 */
export function cropImage(
  { voxels, size }: Pick<Volume, 'voxels' | 'size'>,
  grid: CropGrid,
  outside: number | null,
): Float32Array {
  const [w, h, d] = grid.size;
  const crop = new Float32Array(w * h * d);
  const [x, y, z] = axesOf(size, grid);
  const [width, plane] = [size[0], size[0] * size[1]];
  let to = 0;
  for (let k = 0; k < d; k++)
    for (let j = 0; j < h; j++) {
      const rows = [
        z.low[k]! * plane + y.low[j]! * width,
        z.low[k]! * plane + y.high[j]! * width,
        z.high[k]! * plane + y.low[j]! * width,
        z.high[k]! * plane + y.high[j]! * width,
      ] as const;
      const [v, t] = [y.weight[j]!, z.weight[k]!];
      const weights = [(1 - t) * (1 - v), (1 - t) * v, t * (1 - v), t * v] as const;
      for (let i = 0; i < w; i++, to++) {
        if (outside !== null && !(x.isInside[i] && y.isInside[j] && z.isInside[k])) {
          crop[to] = outside;
          continue;
        }
        const [low, high, u] = [x.low[i]!, x.high[i]!, x.weight[i]!];
        let sum = 0;
        for (let r = 0; r < 4; r++) {
          const row = rows[r as 0 | 1 | 2 | 3];
          sum += weights[r as 0 | 1 | 2 | 3] * ((1 - u) * voxels[row + low]! + u * voxels[row + high]!);
        }
        crop[to] = sum;
      }
    }
  return crop;
}

/**
 * Labels of a mask on a crop's grid, 0 outside: of the labels of the voxels around a place that with the largest weight in a trilinear
 * interpolation, or the lowest of several. The nearest voxel would be one of several wherever a place lies in the middle between them, and
 * whichever is taken shifts the mask against its image.
 */
export function cropMask({ voxels, size }: Pick<LabelMap, 'voxels' | 'size'>, grid: CropGrid): Uint8Array {
  const [w, h, d] = grid.size;
  const crop = new Uint8Array(w * h * d);
  const [x, y, z] = axesOf(size, grid);
  const [width, plane] = [size[0], size[0] * size[1]];
  const weights = new Float64Array(256);
  const around = new Uint8Array(8);
  let to = 0;
  for (let k = 0; k < d; k++)
    for (let j = 0; j < h; j++)
      for (let i = 0; i < w; i++, to++) {
        if (!(x.isInside[i] && y.isInside[j] && z.isInside[k])) continue;
        const [u, v, t] = [x.weight[i]!, y.weight[j]!, z.weight[k]!];
        for (let corner = 0; corner < 8; corner++) {
          const [right, down, behind] = [corner & 1, corner & 2, corner & 4];
          const label =
            voxels[
              (right ? x.high : x.low)[i]! +
                width * (down ? y.high : y.low)[j]! +
                plane * (behind ? z.high : z.low)[k]!
            ]!;
          around[corner] = label;
          weights[label]! += (right ? u : 1 - u) * (down ? v : 1 - v) * (behind ? t : 1 - t);
        }
        crop[to] = heaviest(around, weights);
        for (const label of around) weights[label] = 0;
      }
  return crop;
}

/** Weights that differ by less are equal, but for rounding. */
const SAME_WEIGHT = 1e-9;

function heaviest(labels: Uint8Array, weights: Float64Array): number {
  let best = labels[0]!;
  for (const label of labels) {
    const gain = weights[label]! - weights[best]!;
    if (gain > SAME_WEIGHT || (gain >= -SAME_WEIGHT && label < best)) best = label;
  }
  return best;
}

/** The middle of a scan, in voxels. */
export const middleOf = ({ size }: Pick<Volume, 'size'>): XYZ =>
  size.map((n) => (n - 1) / 2) as unknown as XYZ;
