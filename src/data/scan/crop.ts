/** Cutting samples out of scans. */
import type { LabelMap, Volume, XYZ } from './volume.js';

/** A grid of voxel positions in a scan: position i along an axis is `first + i · step`, in voxels of the scan. */
export interface CropGrid {
  readonly size: XYZ;
  readonly first: XYZ;
  readonly step: XYZ;
}

/**
 * The crop of `size` voxels around a place of a scan.
 * @param centre in voxels of the scan, may lie between them
 * @param spacing of the crop's voxels in mm; the scan's own without it, on its own voxels
 */
export function cropAround(scan: Pick<Volume, 'spacing'>, centre: XYZ, size: XYZ, spacing?: XYZ): CropGrid {
  const step = size.map((_, i) => (spacing ? spacing[i]! / scan.spacing[i]! : 1)) as unknown as XYZ;
  const first = size.map((n, i) => {
    const start = centre[i]! - ((n - 1) / 2) * step[i]!;
    return spacing ? start : Math.round(start);
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
  const positions = [positionsOf(grid, 0), positionsOf(grid, 1), positionsOf(grid, 2)];
  const [x, y, z] = positions.map((along, axis) => neighbours(size[axis]!, along));
  const [inX, inY, inZ] = positions.map((along, axis) => inside(size[axis]!, along));
  const [width, plane] = [size[0], size[0] * size[1]];
  let to = 0;
  for (let k = 0; k < d; k++)
    for (let j = 0; j < h; j++) {
      const rows = [
        z!.low[k]! * plane + y!.low[j]! * width,
        z!.low[k]! * plane + y!.high[j]! * width,
        z!.high[k]! * plane + y!.low[j]! * width,
        z!.high[k]! * plane + y!.high[j]! * width,
      ] as const;
      const [v, t] = [y!.weight[j]!, z!.weight[k]!];
      const weights = [(1 - t) * (1 - v), (1 - t) * v, t * (1 - v), t * v] as const;
      for (let i = 0; i < w; i++, to++) {
        if (outside !== null && !(inX![i] && inY![j] && inZ![k])) {
          crop[to] = outside;
          continue;
        }
        const [low, high, u] = [x!.low[i]!, x!.high[i]!, x!.weight[i]!];
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

/** Labels of a mask on a crop's grid: those of the nearest voxels, 0 outside. */
export function cropMask(
  { voxels, size }: Pick<LabelMap, 'voxels' | 'size'>,
  { size: [w, h, d], first, step }: CropGrid,
): Uint8Array {
  const crop = new Uint8Array(w * h * d);
  const nearest = (axis: 0 | 1 | 2, i: number) => {
    const at = Math.round(first[axis] + i * step[axis]);
    return at >= 0 && at < size[axis] ? at : -1;
  };
  let to = 0;
  for (let k = 0; k < d; k++)
    for (let j = 0; j < h; j++)
      for (let i = 0; i < w; i++, to++) {
        const [a, b, c] = [nearest(0, i), nearest(1, j), nearest(2, k)];
        if (a >= 0 && b >= 0 && c >= 0) crop[to] = voxels[a + size[0] * (b + size[1] * c)]!;
      }
  return crop;
}

/** The middle of a scan, in voxels. */
export const middleOf = ({ size }: Pick<Volume, 'size'>): XYZ =>
  size.map((n) => (n - 1) / 2) as unknown as XYZ;
