/** Brings voxels of a scan that was turned to LPS back into the order of its file. */
import { voxelToWorld, worldToVoxel } from '../data/scan/geometry.js';
import type { Grid, XYZ } from '../data/scan/volume.js';

/** Where voxel (x, y, z) of a turned scan lies in its file: `first + x · step[0] + y · step[1] + z · step[2]`. */
export interface StoredOrder {
  readonly first: number;
  readonly step: XYZ;
}

/** @param turned grid of a scan after `orientLPS`  @param stored its grid before */
export function storedOrder(turned: Grid, stored: Grid): StoredOrder {
  const indexOf = (voxel: XYZ) => {
    const [x, y, z] = worldToVoxel(stored, voxelToWorld(turned, voxel)).map(Math.round) as unknown as XYZ;
    return x + stored.size[0] * (y + stored.size[1] * z);
  };
  const first = indexOf([0, 0, 0]);
  return {
    first,
    step: [indexOf([1, 0, 0]) - first, indexOf([0, 1, 0]) - first, indexOf([0, 0, 1]) - first],
  };
}

/** Writes a plane [H, W] of a turned scan to where it lies in the file's order. */
export function placePlane<T extends Uint8Array | Int16Array | Float32Array>(
  into: T,
  { first, step: [dx, dy, dz] }: StoredOrder,
  [width, height]: XYZ,
  z: number,
  valueAt: (i: number) => number,
): void {
  for (let y = 0, i = 0; y < height; y++) {
    let to = first + z * dz + y * dy;
    for (let x = 0; x < width; x++, i++, to += dx) into[to] = valueAt(i);
  }
}
