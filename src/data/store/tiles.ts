/**
 * A tile store: a folder with `manifest.json` and, for each scan, one NumPy array of tiles in `shards/`.
 * NumPy reads it without this software: `np.load('shards/ID.npy', mmap_mode='r')` is int16 HU [n, D, H, W].
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fromSystemError, UserError } from '../../errors.js';
import { npyHeader } from '../scan/npy.js';
import type { XYZ } from '../scan/volume.js';
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
  for (const scan of manifest.scans) checkShard(folder, scan, manifest.size);
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
    hash: createHash('sha256').update(JSON.stringify({ size, scans })).digest('hex'),
  };
}

/** What precedes the tiles in a shard. @param tiles how many */
export const shardHeader = (tiles: number, [w, h, d]: XYZ) => npyHeader('int16', [tiles, d, h, w]);

const tileBytes = ([w, h, d]: XYZ) => w * h * d * Int16Array.BYTES_PER_ELEMENT;

/** Checks that a shard is there, with the header and length that it should have. @throws UserError of kind `data` */
export function checkShard(folder: string, scan: TiledScan, size: XYZ): void {
  const path = join(folder, scan.shard);
  const header = shardHeader(scan.tiles.length, size);
  const expected = header.length + scan.tiles.length * tileBytes(size);
  try {
    const bytes = statSync(path).size;
    if (bytes !== expected) throw damaged(path, `${bytes} bytes instead of ${expected}`);
    const found = Buffer.alloc(header.length);
    readAt(path, found, 0);
    if (!found.equals(header)) throw damaged(path, 'the header of a different array');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw damaged(path, 'no such file');
    throw fromSystemError(error, path);
  }
}

/** Fills `target` from byte `position` on. @returns bytes read: fewer at the end of the file */
function readAt(path: string, target: Uint8Array, position: number): number {
  const fd = openSync(path, 'r');
  try {
    let done = 0;
    for (let read = -1; read !== 0 && done < target.length; done += read) {
      read = readSync(fd, target, done, target.length - done, position + done);
    }
    return done;
  } finally {
    closeSync(fd);
  }
}

/**
 * Reads one tile: HU [D, H, W], x fastest.
 * @param target where to put it, of the tile's length
 * @throws UserError of kind `data` when its bytes are not those that `prepare` wrote
 * @example
 * const store = openTileStore('tiles');
 * const hu = readTile(store, store.train[0]!);
 */
export function readTile(
  store: TileStore,
  { scan, index }: TileRef,
  target: Int16Array = new Int16Array(tileBytes(store.size) / Int16Array.BYTES_PER_ELEMENT),
): Int16Array {
  const path = join(store.folder, scan.shard);
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  try {
    readAt(path, bytes, shardHeader(scan.tiles.length, store.size).length + index * bytes.length);
  } catch (error) {
    throw fromSystemError(error, path);
  }
  if (sha256(bytes) !== scan.tiles[index]!.sha256) {
    throw new UserError('data', {
      what: `tile ${index} of scan ${scan.id} has changed since it was prepared`,
      where: path,
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

/** SHA-256 of a tile's bytes, in hexadecimal. */
export const sha256 = (bytes: NodeJS.ArrayBufferView): string =>
  createHash('sha256').update(bytes).digest('hex');
