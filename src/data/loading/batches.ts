import { checkInteger, UserError } from '../../errors.js';
import { permutation, randomStream } from '../../random.js';
import { spreadEvenly } from '../../spread.js';
import { type Batch, proxies } from '../proxies/index.js';
import type { PlannedTile, SamplingOptions } from '../proxies/proxy.js';
import type { XYZ } from '../scan/volume.js';
import type { TileSource } from '../store/tile-source.js';

/**
 * The samples of a training batch. Each epoch goes through all tiles in an order of its own, with a fresh stream for
 * each, and runs on into the next one in the middle of a batch.
 * @param tiles how many there are
 */
export function batchPlan(
  index: number,
  tiles: number,
  { batch, proxy, paired, seed }: Pick<SamplingOptions, 'batch' | 'proxy' | 'paired' | 'seed'>,
): PlannedTile[] {
  const orders = new Map<number, Uint32Array>();
  const views = paired ? 2 : 1;
  return Array.from({ length: batch }, (_, i) => {
    const sample = Math.floor((index * batch + i) / views);
    const epoch = Math.floor(sample / tiles);
    const order = orders.get(epoch) ?? permutation(randomStream(seed, 'order', epoch), tiles);
    orders.set(epoch, order);
    const tile = order[sample % tiles]!;
    const view = (index * batch + i) % views;
    return {
      tile,
      random: randomStream(seed, proxies[proxy].stream, epoch, tile, ...(paired ? [view] : [])),
    };
  });
}

export interface ValidationOptions extends SamplingOptions {
  /** Tiles at most, spread evenly over all. */
  readonly limit: number;
  /** Which of the batches: of `size` processes, those of number `rank`; all without it. */
  readonly share?: { readonly rank: number; readonly size: number };
}

/**
 * The validation batches: always the same tiles with the same parts or corruptions, so that only the network changes
 * between two validations.
 * @throws UserError of kind `usage` for an impossible batch, limit or share, `config` when the wholes do not suit the tiles, `data` when
 *   tiles cannot be read
 * @example
 * const sampling = {
 *   ...{ proxy: config.proxy, batch: 16, wholeSize: config.whole, part: config.part },
 *   ...{ window: config.window, intensity: 0, paired: false, seed: 1, limit: 128 },
 * };
 * for (const batch of validationBatches(tilesOf(openTileStore('tiles'), 'validation'), sampling)) console.log(batch.used);
 */
export function* validationBatches(source: TileSource, options: ValidationOptions): Generator<Batch> {
  const { batch, wholeSize, proxy, seed, share: { rank, size } = { rank: 0, size: 1 } } = options;
  checkInteger('batch', batch, 1);
  checkInteger('limit', options.limit, 1);
  checkInteger('share.size', size, 1);
  checkInteger('share.rank', rank, 0, size - 1);
  checkWholeSize(source.size, wholeSize);
  const tiles = spreadEvenly(source.count, options.limit);
  const count = tiles.length;
  for (let first = rank * batch; first < count; first += size * batch) {
    const planned = Array.from({ length: batch }, (_, i): PlannedTile => {
      const tile = tiles[Math.min(first + i, count - 1)]!;
      return { tile, random: randomStream(seed, `validation ${proxies[proxy].stream}`, tile) };
    });
    const loaded = proxies[proxy].load(source, 'validation', options, planned, first / batch);
    yield { ...loaded, used: Math.min(batch, count - first) };
  }
}

/** @throws UserError of kind `config` when the tiles are not an integer multiple of the wholes */
export function checkWholeSize(tile: XYZ, whole: XYZ): void {
  if (whole.every((length, axis) => Number.isInteger(tile[axis]! / length))) return;
  throw new UserError('config', {
    what: 'the tile size is not an integer multiple of the size of a whole',
    where: 'whole',
    got: `wholes of ${whole.join('×')}, tiles of ${tile.join('×')}`,
    expected: 'each side of a tile 1, 2, 3, … times that of a whole',
    fix: 'choose a different size of whole, or prepare tiles of a different size',
  });
}
