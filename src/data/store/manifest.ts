/** `manifest.json` of a tile store: what it says, how it is checked, and what is said when it is wrong. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { fromSystemError, UserError } from '../../errors.js';
import { NORMALISATIONS } from '../scan/normalise.js';
import { SPLITS } from './tile-source.js';
import { REJECTIONS } from './tiling.js';

const FORMAT = 'parts2whole-tiles';
const VERSION = 1;
export const PREPARE_AGAIN = 'delete the folder and run `p2w prepare` again';

const count = z.int().min(0);
const length = z.int().positive();
const triple = <T extends z.ZodType>(item: T) => z.tuple([item, item, item]).readonly();

/** One scan and its tiles, but for the part of the data that it belongs to. */
export const tiledScanSchema = z.strictObject({
  id: z.string().min(1),
  /** Name of the file that it was read from. */
  source: z.string(),
  /** Bytes of that file, with its data file if it has one. */
  sourceBytes: count,
  /** Voxels along x, y, z, after reorientation. */
  size: triple(length),
  /** Distance of voxel centres in mm. */
  spacing: triple(z.number().positive()),
  /** World position of voxel (0, 0, 0) in LPS mm. */
  origin: triple(z.number()),
  /** 3×3, row-major. */
  direction: z.array(z.number()).length(9).readonly(),
  /** Voxels that were NaN or infinite, and are stored as the least there is; absent when there were none. */
  nonFinite: length.optional(),
  /** Voxels whose HU int16 cannot hold, and that were clamped; absent when there were none. */
  clamped: length.optional(),
  /** How slices of a tilted gantry or at uneven distances were put onto this grid; absent when they lay on it. */
  resampled: z.string().optional(),
  /** Path of the array below the store's folder: it may not lead out of it. */
  shard: z.string().regex(/^shards\/(?!(.*\/)?\.\.(\/|$)).+\.npy$/, 'a path below shards/'),
  tiles: z
    .array(
      z.strictObject({
        /** First voxel in the scan. */
        offset: triple(count),
        /** Of the tile's bytes in the shard. */
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .min(1)
    .readonly(),
});

/** The options that a store was made with. */
export const storeOptionsSchema = z.strictObject({
  size: triple(length),
  zBorder: count,
  xyBorder: count,
  reject: z.enum(REJECTIONS),
  /** Of all scans; tiles of samples, which are turned already, were said to be kept by earlier versions. */
  orientation: z.enum(['LPS', 'keep']),
  /** What the values are; stores of versions that knew nothing else hold HU. */
  normalise: z.enum(NORMALISATIONS).default('hu'),
  seed: z.int(),
  /** Share of the scans that are for validation; null when a file says which. */
  valFraction: z.number().min(0).max(1).nullable(),
});

const manifestSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  createdBy: z.string(),
  /** Voxels of a tile along x, y, z. */
  size: triple(length),
  options: storeOptionsSchema,
  scans: z.array(tiledScanSchema.extend({ split: z.enum(SPLITS) })).readonly(),
  /** Scans that could not be read, and why. */
  failures: z.array(z.strictObject({ source: z.string(), message: z.string() })).readonly(),
});

export type TiledScan = z.infer<typeof tiledScanSchema>;
export type StoreOptions = z.infer<typeof storeOptionsSchema>;
export type Manifest = z.infer<typeof manifestSchema>;

export const manifestPath = (folder: string) => join(folder, 'manifest.json');

/** Whether a folder's manifest begins as one of a format does; what else may be wrong with it, reading it says. */
export function hasManifest(folder: string, format: string): boolean {
  try {
    return (
      /^\s*\{\s*"format"\s*:\s*"([^"]*)"/.exec(readFileSync(manifestPath(folder), 'utf8'))?.[1] === format
    );
  } catch {
    return false;
  }
}

/** Whether a folder holds tiles, whatever their state. */
export const isTileStore = (folder: string): boolean => hasManifest(folder, FORMAT);

/** A manifest in the current version, as the text of its file. */
export function manifestText(content: Omit<Manifest, 'format' | 'version'>): string {
  return `${JSON.stringify(manifestSchema.parse({ format: FORMAT, version: VERSION, ...content }))}\n`;
}

/** Reads and checks a store's manifest. @throws UserError of kind `data` */
export function readManifest(folder: string): Manifest {
  const path = manifestPath(folder);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError('data', {
      what: existsSync(folder)
        ? 'this folder contains no tiles, or `p2w prepare` did not finish'
        : 'there is no such folder of tiles',
      where: folder,
      fix: 'give the folder that `p2w prepare --input SCANS --out FOLDER` has written, or run that again; tiles of a run may have moved since: --data says where they are now',
      cause: fromSystemError(error, path),
    });
  }
  const content = parseJson(text);
  const head = z.object({ format: z.literal(FORMAT), version: z.unknown() }).safeParse(content);
  if (!head.success) {
    // Cut short, it is still one of ours.
    if (isTileStore(folder)) throw damaged(path, 'a manifest that cannot be read to its end');
    throw new UserError('data', {
      what: 'this folder contains no tiles',
      where: folder,
      got: String((content as { format?: unknown } | null | undefined)?.format ?? 'another manifest.json'),
      expected: FORMAT,
      fix: 'make them with `p2w prepare`, in another folder',
    });
  }
  if (head.data.version !== VERSION) {
    throw new UserError('data', {
      what: 'these tiles were made by a different version of this software',
      where: path,
      got: `version ${JSON.stringify(head.data.version)}`,
      expected: `version ${VERSION}`,
      fix: PREPARE_AGAIN,
    });
  }
  const result = manifestSchema.safeParse(content);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw damaged(path, `${issue?.path.join('.')}: ${issue?.message}`);
}

/** JSON, or undefined where it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error for a store that is not as `prepare` left it. */
export const damaged = (where: string, got: string) =>
  new UserError('data', { what: 'the tile store is damaged', where, got, fix: PREPARE_AGAIN });
