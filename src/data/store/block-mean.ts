import type { Voxels, XYZ } from '../scan/volume.js';

/** How many voxels of `from` one voxel of `to` stands for, along each axis; undefined when that is not an integer. */
export function averagingFactors(from: XYZ, to: XYZ): XYZ | undefined {
  const factors = [from[0] / to[0], from[1] / to[1], from[2] / to[2]] as const;
  return factors.every((f) => Number.isInteger(f) && f >= 1) ? factors : undefined;
}

/**
 * HU clipped to a window, then averaged over blocks: what the training graph does to make a whole of a tile.
 * @param tile voxels of size `size`, x fastest
 * @param factors edge of a block, x, y, z; divides `size`
 */
export function clippedAverage(
  tile: Int16Array | Float32Array,
  size: XYZ,
  factors: XYZ,
  window: { low: number; high: number },
): Float32Array {
  const [sx, sy] = size;
  const [fx, fy, fz] = factors;
  const [nx, ny, nz] = [size[0] / fx, size[1] / fy, size[2] / fz];
  const sums = new Float32Array(nx * ny * nz);
  let source = 0;
  for (let z = 0; z < size[2]; z++) {
    for (let y = 0; y < sy; y++) {
      const row = (Math.floor(z / fz) * ny + Math.floor(y / fy)) * nx;
      for (let x = 0; x < sx; x++) {
        const value = tile[source++]!;
        sums[row + Math.floor(x / fx)]! += Math.min(Math.max(value, window.low), window.high);
      }
    }
  }
  const share = 1 / (fx * fy * fz);
  return sums.map((sum) => sum * share);
}

/** Images [N, z, y, x] with every voxel repeated along each axis: averaged over blocks they are the same again. */
export function repeatVoxels<V extends Voxels>(images: V, [x, y, z]: XYZ, [fx, fy, fz]: XYZ): V {
  const [width, height, depth] = [x * fx, y * fy, z * fz];
  const length = (images.length / (x * y * z)) * width * height * depth;
  const repeated = (images instanceof Int16Array ? new Int16Array(length) : new Float32Array(length)) as V;
  for (let i = 0; i < length; i++) {
    const column = Math.floor((i % width) / fx);
    const row = Math.floor((Math.floor(i / width) % height) / fy);
    const slice = Math.floor(Math.floor(i / (width * height)) / fz);
    repeated[i] = images[(slice * y + row) * x + column]!;
  }
  return repeated;
}
