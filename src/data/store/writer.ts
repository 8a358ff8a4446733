/**
 * Writing a tile store, scan by scan. A scan is finished when its record is there, which is written after its
 * shard; so a run that was killed goes on with the first scan that has none.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { fromSystemError, UserError } from '../../errors.js';
import { AtomicFile, makeFolder, removeTemporaries, writeFileAtomic } from '../../files.js';
import type { Volume, XYZ } from '../scan/volume.js';
import { type StoreOptions, storeOptionsSchema, type TiledScan, tiledScanSchema } from './manifest.js';
import { checkShard, sha256, shardHeader } from './tiles.js';
import { cutTile } from './tiling.js';

const sourceFileSchema = z.strictObject({ name: z.string(), bytes: z.number(), modifiedMs: z.number() });
/** A file that a scan was read from. */
export type SourceFile = z.infer<typeof sourceFileSchema>;

const recordSchema = z.strictObject({ files: z.array(sourceFileSchema), scan: tiledScanSchema });

const recordPath = (folder: string, id: string) => join(folder, 'records', `${id}.json`);

/** A scan that an earlier run has finished, if its files are still the same. */
export function finishedScan(
  folder: string,
  id: string,
  files: SourceFile[],
  size: XYZ,
): TiledScan | undefined {
  try {
    const record = recordSchema.parse(JSON.parse(readFileSync(recordPath(folder, id), 'utf8')));
    checkShard(folder, record.scan, size);
    return isDeepStrictEqual(record.files, files) ? record.scan : undefined;
  } catch {
    return undefined; // none, or damaged: the scan is prepared again
  }
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
  for (const path of [join(folder, shard), recordPath(folder, id)]) makeFolder(dirname(path), folder);
  const file = new AtomicFile(join(folder, shard));
  try {
    file.write(shardHeader(origins.length, tileSize));
    const tile = new Int16Array(tileSize[0] * tileSize[1] * tileSize[2]);
    for (const offset of origins) {
      cutTile(volume, offset, tileSize, tile);
      tiles.push({ offset, sha256: sha256(tile) });
      file.write(tile);
    }
    file.commit();
  } finally {
    file.discard();
  }
  const { size, spacing, origin, direction, nonFinite, beyondInt16: clamped } = volume;
  const sourceBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const flaws = { ...(nonFinite && { nonFinite }), ...(clamped && { clamped }) };
  const grid = { size, spacing, origin, direction, ...flaws };
  const tiled = { id, source: files[0]!.name, sourceBytes, ...grid, shard, tiles };
  writeFileAtomic(recordPath(folder, id), `${JSON.stringify({ files, scan: tiled })}\n`);
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
  return (Object.keys(options) as (keyof StoreOptions)[])
    .filter((key) => !isDeepStrictEqual(earlier[key], options[key]))
    .map((key) => `${key} ${JSON.stringify(options[key])} instead of ${JSON.stringify(earlier[key])}`);
}

/** Removes the half-written files of runs that were killed. Call it only while holding the folder's lock. */
export function removeLeftovers(folder: string): void {
  removeTemporaries(folder);
  for (const part of ['shards', 'records'].map((name) => join(folder, name)).filter(existsSync)) {
    removeTemporaries(part);
    const below = readdirSync(part, { withFileTypes: true, recursive: true });
    for (const entry of below) if (entry.isDirectory()) removeTemporaries(join(entry.parentPath, entry.name));
  }
}
