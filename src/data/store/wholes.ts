import * as z from 'zod';
import type { XYZ } from '../scan/volume.js';
import { averagingFactors, clippedAverage } from './block-mean.js';
import type { TileSource } from './tile-source.js';

/** Values of tiles, mostly HU, that become 0 and 1. */
export const windowSchema = z
  .strictObject({ low: z.number(), high: z.number() })
  .refine(({ low, high }) => low < high, { error: 'low must be below high' });
export type HuWindow = Readonly<z.infer<typeof windowSchema>>;

/**
 * A tile as the whole that a network is to make: averaged, in [0, 1], [D, H, W].
 * @param tile its number
 * @param size of the whole, of which the tile is an integer multiple along each axis
 * @throws UserError of kind `data` when it cannot be read
 */
export function readWhole(tiles: TileSource, tile: number, size: XYZ, window: HuWindow): Float32Array {
  const factors = averagingFactors(tiles.size, size)!;
  const hu = clippedAverage(tiles.read(tile), tiles.size, factors, window);
  // The ends of the window need not be float32: what was clipped to them may lie beyond by a digit.
  return hu.map((value) => Math.min(Math.max((value - window.low) / (window.high - window.low), 0), 1));
}
