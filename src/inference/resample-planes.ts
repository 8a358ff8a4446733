/** Brings what was computed on a model's grid back onto the grid of the scan. */
import { type CropGrid, neighbours } from '../data/scan/crop.js';
import type { XYZ } from '../data/scan/volume.js';
import type { Plane } from './sliding-window.js';

/** Neighbours of each voxel of a scan along one axis of a grid. @param length voxels of the scan */
const neighboursOf = (length: number, { size, first, step }: CropGrid, axis: 0 | 1 | 2) =>
  neighbours(
    size[axis],
    Float64Array.from({ length }, (_, i) => (i - first[axis]) / step[axis]),
  );

/** Whether a grid has the very voxels of a scan. */
const isOwnGrid = ({ size, first, step }: CropGrid, scan: XYZ) =>
  scan.every((length, i) => size[i] === length && first[i] === 0 && step[i] === 1);

/**
 * Planes of a grid as planes of the scan that the grid lies in, trilinear; beyond the outermost voxels of the grid their values repeat.
 * Two planes are held.
 * @param channels values that each voxel has
 * @param scan voxels along x, y, z
 */
export function resamplePlanes(
  planes: AsyncIterable<Plane>,
  channels: number,
  grid: CropGrid,
  scan: XYZ,
): AsyncIterable<Plane> {
  return isOwnGrid(grid, scan) ? planes : interpolated(planes, channels, grid, scan);
}

async function* interpolated(
  planes: AsyncIterable<Plane>,
  channels: number,
  grid: CropGrid,
  [width, height, depth]: XYZ,
): AsyncGenerator<Plane> {
  const [x, y, z] = [
    neighboursOf(width, grid, 0),
    neighboursOf(height, grid, 1),
    neighboursOf(depth, grid, 2),
  ];
  const [w, h] = grid.size;
  const length = channels * width * height;
  const [even, odd, values] = [new Float32Array(length), new Float32Array(length), new Float32Array(length)];
  const held = (plane: number) => (plane % 2 === 0 ? even : odd);
  let next = 0;
  for await (const plane of planes) {
    const wide = held(plane.z);
    for (let c = 0, to = 0; c < channels; c++)
      for (let j = 0; j < height; j++) {
        const [upper, lower, v] = [w * (h * c + y.low[j]!), w * (h * c + y.high[j]!), y.weight[j]!];
        for (let i = 0; i < width; i++, to++) {
          const [a, b, u] = [x.low[i]!, x.high[i]!, x.weight[i]!];
          const first = plane.values[upper + a]! * (1 - u) + plane.values[upper + b]! * u;
          const second = plane.values[lower + a]! * (1 - u) + plane.values[lower + b]! * u;
          wide[to] = first * (1 - v) + second * v;
        }
      }
    for (; next < depth && z.high[next]! <= plane.z; next++) {
      const [low, high, t] = [held(z.low[next]!), held(z.high[next]!), z.weight[next]!];
      for (let i = 0; i < length; i++) values[i] = low[i]! * (1 - t) + high[i]! * t;
      yield { z: next, values };
    }
  }
}
