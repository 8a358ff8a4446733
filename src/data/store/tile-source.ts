import type { XYZ } from '../scan/volume.js';

/** What tiles are for. */
export const SPLITS = ['train', 'validation'] as const;
export type Split = (typeof SPLITS)[number];

/** Tiles that samples are made of, on a disk or in memory. */
export interface TileSource {
  /** Voxels of a tile along x, y, z. */
  readonly size: XYZ;
  /** How many tiles there are. */
  readonly count: number;
  /**
   * Reads a tile: HU [D, H, W], x fastest.
   * @param target where to put it, of the tile's length; memory that must not be changed without it
   * @throws UserError of kind `data` when it cannot be read
   */
  read(tile: number, target?: Int16Array): Int16Array;
}
