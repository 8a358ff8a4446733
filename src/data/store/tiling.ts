import { toInt16 } from '../../int16.js';
import type { Volume, XYZ } from '../scan/volume.js';

/** Which tiles are left out: none, those of (almost) only air, or those with much soft tissue. */
export const REJECTIONS = ['none', 'air', 'softTissue'] as const;
export type Rejection = (typeof REJECTIONS)[number];

export interface TilingOptions {
  /** Voxels of a tile. */
  readonly size: XYZ;
  /** Voxels that are trimmed at both ends of z. */
  readonly zBorder: number;
  /** Voxels that are trimmed at both ends of x and of y. */
  readonly xyBorder: number;
  readonly reject: Rejection;
}

/** Outside of the body, and the emptiest parts of emphysematous lung: healthy lung is about −850 to −700 HU. */
const AIR_BELOW_HU = -800;
const AIR_SHARE = 0.95;
/** Limits of Models Genesis (`hu_thred` there): fat, muscle and organs. */
const SOFT_TISSUE_FROM_HU = -150;
const SOFT_TISSUE_SHARE = 0.15;

/**
 * First voxels of the tiles of a scan, which neither overlap nor leave gaps; what is left over is split evenly
 * between both ends of each axis.
 * @param scan voxels along x, y, z
 * @returns x fastest; empty when no tile fits
 */
export function tileOrigins(scan: XYZ, { size, zBorder, xyBorder }: TilingOptions): XYZ[] {
  const starts = (axis: 0 | 1 | 2) => {
    const border = axis === 2 ? zBorder : xyBorder;
    const usable = scan[axis] - 2 * border;
    const count = Math.max(0, Math.floor(usable / size[axis]));
    const first = border + Math.floor((usable - count * size[axis]) / 2);
    return Array.from({ length: count }, (_, i) => first + i * size[axis]);
  };
  const [xs, ys, zs] = [starts(0), starts(1), starts(2)];
  return zs.flatMap((z) => ys.flatMap((y) => xs.map((x): XYZ => [x, y, z])));
}

/**
 * Copies a tile out of a scan: HU [D, H, W], rounded and clamped to int16.
 * @param tile is written to and returned; a new one without it
 */
export function cutTile(
  { voxels, size: [width, height] }: Pick<Volume, 'voxels' | 'size'>,
  origin: XYZ,
  [w, h, d]: XYZ,
  tile: Int16Array = new Int16Array(w * h * d),
): Int16Array {
  for (let z = 0; z < d; z++) {
    for (let y = 0; y < h; y++) {
      const from = origin[0] + width * (origin[1] + y + height * (origin[2] + z));
      const to = w * (y + h * z);
      if (voxels instanceof Int16Array) tile.set(voxels.subarray(from, from + w), to);
      else for (let x = 0; x < w; x++) tile[to + x] = toInt16(voxels[from + x]!);
    }
  }
  return tile;
}

/** Whether a tile is to be left out. @param hu voxels of the tile */
export function isRejected(hu: Int16Array, reject: Rejection): boolean {
  switch (reject) {
    case 'none':
      return false;
    case 'air':
      return 1 - shareFrom(hu, AIR_BELOW_HU) >= AIR_SHARE;
    case 'softTissue':
      return shareFrom(hu, SOFT_TISSUE_FROM_HU) > SOFT_TISSUE_SHARE;
  }
}

/** Share of the voxels that have at least `low` HU. */
function shareFrom(hu: Int16Array, low: number): number {
  let count = 0;
  for (const value of hu) if (value >= low) count++;
  return count / hu.length;
}
