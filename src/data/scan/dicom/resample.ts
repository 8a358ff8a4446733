/** Resampling of slices with gantry tilt or uneven spacing onto a regular grid. */
import { UserError } from '../../../errors.js';
import { voxelToWorld } from '../geometry.js';
import type { Grid, Volume, Voxels } from '../volume.js';
import { FILL_HU } from '../voxel-builder.js';
import type { Stack } from './stack.js';

/** Voxels by which a tilted stack grows along x and y, and by which its first slice is moved. */
interface Margin {
  readonly more: readonly [number, number];
  readonly first: readonly [number, number];
}

function marginOf({ grid, uneven }: Stack): Margin {
  const total = [0, 1].map((axis) => (uneven!.shift[axis]! * (grid.size[2] - 1)) / grid.spacing[axis]!);
  const more = total.map((voxels) => Math.ceil(Math.abs(voxels) - 1e-6));
  const first = total.map((voxels) => Math.max(0, Math.ceil(-voxels - 1e-6)));
  return { more: [more[0]!, more[1]!], first: [first[0]!, first[1]!] };
}

/** The grid of a stack after {@link straighten}, which covers all of its slices. */
export function straightGrid(stack: Stack): Grid {
  const { grid, uneven } = stack;
  if (!uneven) return grid;
  const { more, first } = marginOf(stack);
  const { size } = grid;
  return {
    ...grid,
    size: [size[0] + more[0], size[1] + more[1], size[2]],
    origin: voxelToWorld(grid, [-first[0], -first[1], 0]),
  };
}

/**
 * Interpolates linearly along each axis.
 * @param volume the slices as they are stored
 * @throws UserError when the result does not fit in memory
 */
export function straighten(volume: Volume, stack: Stack, path: string): Volume {
  const { heights, shift } = stack.uneven!;
  const grid = straightGrid(stack);
  const { first } = marginOf(stack);
  const [width, height, depth] = grid.size;
  const { voxels } = volume;
  const result = allocate(path, voxels, width * height * depth).fill(Math.max(FILL_HU, leastOf(voxels)));
  const plane = new Float32Array(width * height);
  const inside = new Float32Array(width * height);
  for (let z = 0; z < depth; z++) {
    const [low, high, weight] = neighbours(heights, z * grid.spacing[2]);
    plane.fill(0);
    inside.fill(0);
    for (const [slice, share] of [
      [low, 1 - weight],
      [high, weight],
    ] as const) {
      if (share === 0) continue;
      const along = heights[slice]! / grid.spacing[2];
      const dx = first[0] + (shift[0] * along) / grid.spacing[0];
      const dy = first[1] + (shift[1] * along) / grid.spacing[1];
      addShifted(volume, slice, share, [dx, dy], { plane, inside, width, height });
    }
    const start = z * width * height;
    for (let i = 0; i < plane.length; i++) {
      if (inside[i]! < 0.5) continue;
      const value = plane[i]! / inside[i]!;
      result[start + i] = voxels instanceof Int16Array ? Math.round(value) : value;
    }
  }
  return { ...volume, ...grid, voxels: result };
}

function allocate(path: string, like: Voxels, length: number): Voxels {
  try {
    return like instanceof Int16Array ? new Int16Array(length) : new Float32Array(length);
  } catch (cause) {
    throw new UserError('input', { what: 'the scan does not fit in memory', where: path, cause });
  }
}

/** The slices below and above a height, and the weight of the upper one. */
function neighbours(heights: readonly number[], height: number): [number, number, number] {
  let high = heights.findIndex((at) => at >= height - 1e-6);
  if (high < 0) high = heights.length - 1;
  const low = Math.max(0, high - 1);
  if (high === low || Math.abs(heights[high]! - height) < 1e-6) return [high, high, 0];
  return [low, high, (height - heights[low]!) / (heights[high]! - heights[low]!)];
}

function leastOf(voxels: Voxels): number {
  let least = Number.POSITIVE_INFINITY;
  for (const value of voxels) if (value < least) least = value;
  return least;
}

/** Adds a slice to a plane, moved by a fraction of voxels, and its weights to `inside`. */
function addShifted(
  { voxels, size }: Volume,
  slice: number,
  share: number,
  [dx, dy]: readonly [number, number],
  {
    plane,
    inside,
    width,
    height,
  }: { plane: Float32Array; inside: Float32Array; width: number; height: number },
): void {
  const [columns, rows] = size;
  const from = slice * columns * rows;
  // Each voxel is distributed among the four around its new position, with the same weights everywhere.
  const [kx, ky] = [Math.ceil(dx), Math.ceil(dy)];
  const [u, v] = [kx - dx, ky - dy];
  for (const [a, b] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ] as const) {
    const weight = share * (a === 0 ? 1 - v : v) * (b === 0 ? 1 - u : u);
    if (weight === 0) continue;
    for (let row = 0; row < rows; row++) {
      const y = row + ky - a;
      if (y < 0 || y >= height) continue;
      const to = y * width + kx - b;
      const [first, last] = [Math.max(0, b - kx), Math.min(columns, width - kx + b)];
      for (let column = first; column < last; column++) {
        plane[to + column]! += weight * voxels[from + row * columns + column]!;
        inside[to + column]! += weight;
      }
    }
  }
}
