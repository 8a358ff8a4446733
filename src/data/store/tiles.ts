/**
 * A tile store: a folder with `manifest.json` and, for each scan, one NumPy array of tiles in `shards/`.
 * NumPy reads it without this software: `np.load('shards/ID.npy', mmap_mode='r')` is int16 HU [n, D, H, W].
 */
import { join } from 'node:path';
import { UserError } from '../../errors.js';
import { voxelCount } from '../scan/scan.js';
import type { XYZ } from '../scan/volume.js';
import { checkArray, readItem, type StoredArray, sha256 } from './arrays.js';
import { damaged, type Manifest, PREPARE_AGAIN, readManifest, type TiledScan } from './manifest.js';
import type { Split, TileSource } from './tile-source.js';

/** A tile: `scan.tiles[index]`, and the array `index` of the scan's shard. */
export interface TileRef {
  readonly scan: TiledScan;
  readonly index: number;
}

/** An open tile store: plain data, which may be sent to threads. */
export interface TileStore {
  readonly folder: string;
  readonly manifest: Manifest;
  /** Voxels of a tile along x, y, z. */
  readonly size: XYZ;
  readonly train: readonly TileRef[];
  readonly validation: readonly TileRef[];
  /** SHA-256 of everything that decides what is trained on: scans, tiles and their bytes, the split. */
  readonly hash: string;
}

/**
 * Opens a store that `prepare` made. Every shard is there and has the right shape and length; its bytes are
 * checked when they are read.
 * @throws UserError of kind `data`
 * @example
 * const store = openTileStore('tiles');
 * console.log(store.size, store.train.length, store.validation.length);
 */
export function openTileStore(folder: string): TileStore {
  const manifest = readManifest(folder);
  for (const scan of manifest.scans) checkArray(shardOf(folder, scan, manifest.size), damaged);
  const refs = (split: Split) =>
    manifest.scans
      .filter((scan) => scan.split === split)
      .flatMap((scan) => scan.tiles.map((_, index): TileRef => ({ scan, index })));
  const { size, scans } = manifest;
  return {
    folder,
    manifest,
    size,
    train: refs('train'),
    validation: refs('validation'),
    hash: sha256(JSON.stringify({ size, scans })),
  };
}

/** The array of a scan's tiles, each of size w×h×d. */
export const shardOf = (
  folder: string,
  { shard, tiles }: { readonly shard: string; readonly tiles: readonly unknown[] },
  [w, h, d]: XYZ,
): StoredArray => ({ path: join(folder, shard), type: 'int16', shape: [tiles.length, d, h, w] });

/**
 * Reads one tile: HU [D, H, W], x fastest.
 * @param target where to put it, of the tile's length
 * @throws UserError of kind `usage` for a target of another length, `data` when its bytes are not those that `prepare` wrote
 * @example
 * const store = openTileStore('tiles');
 * const hu = readTile(store, store.train[0]!);
 */
export function readTile(
  store: TileStore,
  { scan, index }: TileRef,
  target: Int16Array = new Int16Array(voxelCount(store.size)),
): Int16Array {
  const shard = shardOf(store.folder, scan, store.size);
  const voxels = voxelCount(store.size);
  if (target.length !== voxels)
    throw new UserError('usage', {
      what: 'a tile does not have this length',
      where: 'target',
      got: String(target.length),
      expected: `${voxels}, for ${store.size.join('×')} voxels`,
    });
  readItem(shard, index, target);
  if (sha256(target) !== scan.tiles[index]!.sha256) {
    throw new UserError('data', {
      what: `tile ${index} of scan ${scan.id} has changed since it was prepared`,
      where: shard.path,
      fix: PREPARE_AGAIN,
    });
  }
  return target;
}

/**
 * The tiles of a split, for samples to be made of.
 * @example
 * const tiles = tilesOf(openTileStore('tiles'), 'validation');
 */
export const tilesOf = (store: TileStore, split: Split): TileSource => ({
  size: store.size,
  count: store[split].length,
  read: (tile, target) => readTile(store, store[split][tile]!, target),
});
