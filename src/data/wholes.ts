import { averagingFactors, clippedAverage } from './average.js';
import type { Split } from './tile-store-manifest.js';
import { readTile, type TileStore } from './tiles.js';
import type { XYZ } from './volume.js';

/** HU that become 0 and 1. */
export interface HuWindow {
  readonly low: number;
  readonly high: number;
}

/**
 * A tile as the whole that a network is to make: averaged, in [0, 1], [D, H, W].
 * @param tile its number in the split
 * @param size of the whole, of which the tile is a whole multiple along each axis
 * @throws UserError of kind `data` when it has changed
 */
export function readWhole(
  store: TileStore,
  split: Split,
  tile: number,
  size: XYZ,
  window: HuWindow,
): Float32Array {
  const factors = averagingFactors(store.size, size)!;
  const hu = clippedAverage(readTile(store, store[split][tile]!), store.size, factors, window);
  return hu.map((value) => (value - window.low) / (window.high - window.low));
}
