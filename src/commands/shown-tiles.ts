/** Which wholes a report shows: not air, and not of one scan alone. */
import { standardDeviation } from '../analysis/statistics.js';
import type { Config } from '../config/pretraining.js';
import type { TileSource } from '../data/store/tile-source.js';
import { type TileStore, tilesOf } from '../data/store/tiles.js';
import { readWhole } from '../data/store/wholes.js';
import { spreadOver } from '../spread.js';

/** Tiles that are looked at. */
const CANDIDATES = 400;

export interface Candidate {
  readonly tile: number;
  readonly scan: string;
  /** Standard deviation of its intensities. */
  readonly deviation: number;
}

/** The most varied tile of each scan, then the second of each, and so on until there are enough; in their own order. */
export function mostVaried(candidates: readonly Candidate[], wanted: number): number[] {
  const turns = new Map<string, number>();
  return candidates
    .toSorted((a, b) => b.deviation - a.deviation)
    .map(({ tile, scan }) => {
      const turn = turns.get(scan) ?? 0;
      turns.set(scan, turn + 1);
      return { tile, turn };
    })
    .sort((a, b) => a.turn - b.turn)
    .slice(0, wanted)
    .map(({ tile }) => tile)
    .sort((a, b) => a - b);
}

/** Validation tiles that are worth a picture, in the window of the run. */
export function shownTiles(store: TileStore, { whole, window }: Config, wanted: number): number[] {
  const tiles = tilesOf(store, 'validation');
  const candidates = spreadOver(tiles.count, CANDIDATES).map((tile) => ({
    tile,
    scan: store.validation[tile]!.scan.id,
    deviation: standardDeviation(readWhole(tiles, tile, whole, window)),
  }));
  return mostVaried(candidates, wanted);
}

/** Some of the tiles, as if there were no others. */
export const onlyTiles = (source: TileSource, tiles: readonly number[]): TileSource => ({
  size: source.size,
  count: tiles.length,
  read: (tile, target) => source.read(tiles[tile]!, target),
});
