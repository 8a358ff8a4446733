/** Writing a tile store, scan by scan. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { changedOptions } from '../../changed-options.js';
import { fromSystemError, UserError } from '../../errors.js';
import { writeFileAtomic } from '../../files.js';
import type { Volume, XYZ } from '../scan/volume.js';
import { finishedRecord, sha256, writeArray, writeRecord } from './arrays.js';
import { type StoreOptions, storeOptionsSchema, type TiledScan, tiledScanSchema } from './manifest.js';
import { shardOf } from './tiles.js';
import { cutTile } from './tiling.js';

const sourceFileSchema = z.strictObject({ name: z.string(), bytes: z.number(), modifiedMs: z.number() });
/** A file that a scan was read from. */
export type SourceFile = z.infer<typeof sourceFileSchema>;

const recordSchema = z.strictObject({ files: z.array(sourceFileSchema), scan: tiledScanSchema });

/** A scan that an earlier run has finished, if its files are still the same. */
export function finishedScan(
  folder: string,
  id: string,
  files: SourceFile[],
  size: XYZ,
): TiledScan | undefined {
  return finishedRecord(folder, id, recordSchema, (record) =>
    isDeepStrictEqual(record.files, files) ? [shardOf(folder, record.scan, size)] : null,
  )?.scan;
}

/** A scan that is to be stored. */
export interface ScanToTile {
  readonly id: string;
  /** The file that it was read from comes first, then its data file. */
  readonly files: SourceFile[];
  readonly volume: Volume;
  /** First voxels of its tiles. */
  readonly origins: readonly XYZ[];
}

/**
 * Writes the tiles of one scan, and its record.
 * @throws UserError of kind `disk`
 */
export function writeScan(folder: string, scan: ScanToTile, tileSize: XYZ): TiledScan {
  const { id, files, volume, origins } = scan;
  const shard = `shards/${id}.npy`;
  const tiles: TiledScan['tiles'][number][] = [];
  function* cut(tile: Int16Array) {
    for (const offset of origins) {
      cutTile(volume, offset, tileSize, tile);
      tiles.push({ offset, sha256: sha256(tile) });
      yield tile;
    }
  }
  const tile = new Int16Array(tileSize[0] * tileSize[1] * tileSize[2]);
  writeArray(folder, shardOf(folder, { shard, tiles: origins }, tileSize), cut(tile));
  const { size, spacing, origin, direction, nonFinite, beyondInt16: clamped, resampled } = volume;
  const sourceBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const flaws = {
    ...(nonFinite && { nonFinite }),
    ...(clamped && { clamped }),
    ...(resampled && { resampled }),
  };
  const grid = { size, spacing, origin, direction, ...flaws };
  const tiled = { id, source: files[0]!.name, sourceBytes, ...grid, shard, tiles };
  writeRecord(folder, id, { files, scan: tiled });
  return tiled;
}

/**
 * Marks a folder as a store with these options, before the first scan.
 * @throws UserError of kind `config` when it was begun with others
 */
export function claimFolder(folder: string, options: StoreOptions): void {
  const path = join(folder, 'options.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fromSystemError(error, path);
    writeFileAtomic(path, `${JSON.stringify(options)}\n`);
    return;
  }
  const found = differences(text, options);
  if (found.length === 0) return;
  throw new UserError('config', {
    what: 'this folder contains tiles made with different options',
    where: folder,
    got: found.join(', '),
    fix: 'choose another folder, or delete this one',
  });
}

function differences(text: string, options: StoreOptions): string[] {
  let earlier: StoreOptions;
  try {
    earlier = storeOptionsSchema.parse(JSON.parse(text));
  } catch {
    return ['a damaged options.json'];
  }
  return changedOptions(earlier, { ...options });
}
