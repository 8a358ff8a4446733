/** `index.json` of a search index: what it says, and how it is checked. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import type { StoredArray } from '../data/store/arrays.js';
import { parseJson } from '../data/store/manifest.js';
import { fromSystemError, UserError } from '../errors.js';

const FORMAT = 'parts2whole-index';
const VERSION = 1;
const AGAIN = 'delete the folder and run `p2w index` again';

const count = z.int().positive();

const manifestSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  /** Length of a vector. */
  dimensions: count,
  rows: count,
  /** The encoder. */
  model: z.strictObject({ path: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  /** Voxels of a window along x, y, z, at the model's spacing. */
  window: z.tuple([count, count, count]).readonly(),
  /** Scans, and how many rows each has. */
  sources: z
    .array(
      z.strictObject({
        name: z.string(),
        /** Where pictures are cut from; null where only features were given. */
        path: z.string().nullable(),
        rows: count,
      }),
    )
    .readonly(),
  /** Rows in each list, one list behind the other; one list is searched exactly. */
  lists: z.array(z.int().min(0)).min(1).readonly(),
  /** Lists that a query looks at. */
  probes: count,
  /** Share of the ten nearest neighbours that are in them, measured on some of the rows. */
  recall: z.number().min(0).max(1),
});

export type IndexManifest = z.infer<typeof manifestSchema>;
export type IndexedSource = IndexManifest['sources'][number];

export const indexManifestPath = (folder: string): string => join(folder, 'index.json');

/** Changes when an index is written again: what was read of it before does not go with its files any more. */
export function indexState(folder: string): string {
  const found = statSync(indexManifestPath(folder), { throwIfNoEntry: false });
  return found ? [found.ino, found.size, found.mtimeMs].join(' ') : 'none';
}

export function indexManifestText(content: Omit<IndexManifest, 'format' | 'version'>): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, ...content })}\n`;
}

/** What describes a row: source, windows, x, y, z of the first voxel, x, y, z of the middle in mm; NaN where there is no place. */
export const PLACE = 8;

/** Files of an index, which NumPy reads. */
export const indexArrays = (
  folder: string,
  { rows, dimensions, lists }: Pick<IndexManifest, 'rows' | 'dimensions' | 'lists'>,
): Record<'vectors' | 'places' | 'centres' | 'mean', StoredArray> => ({
  /** Of length 1, less the mean, list by list. */
  vectors: { path: join(folder, 'vectors.npy'), type: 'float32', shape: [rows, dimensions] },
  places: { path: join(folder, 'places.npy'), type: 'float32', shape: [rows, PLACE] },
  centres: { path: join(folder, 'centres.npy'), type: 'float32', shape: [lists.length, dimensions] },
  mean: { path: join(folder, 'mean.npy'), type: 'float32', shape: [1, dimensions] },
});

/** The error for an index that is not as `index` left it. */
export const damagedIndex = (where: string, got: string): UserError =>
  new UserError('data', { what: 'the index is damaged', where, got, fix: AGAIN });

/** Reads and checks what an index says of itself. @throws UserError of kind `data` */
export function readIndexManifest(folder: string): IndexManifest {
  const path = indexManifestPath(folder);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError('data', {
      what: existsSync(folder)
        ? 'this folder contains no index, or `p2w index` did not finish'
        : 'there is no such folder of an index',
      where: folder,
      fix: 'give the folder that `p2w index --out FOLDER` has written, or run that again',
      cause: fromSystemError(error, path),
    });
  }
  const content = parseJson(text);
  const head = z.object({ format: z.literal(FORMAT), version: z.unknown() }).safeParse(content);
  if (!head.success) throw damagedIndex(path, `not an index of the format ${FORMAT}`);
  if (head.data.version !== VERSION)
    throw new UserError('data', {
      what: 'this index was made by a different version of this software',
      where: path,
      got: `version ${JSON.stringify(head.data.version)}`,
      expected: `version ${VERSION}`,
      fix: AGAIN,
    });
  const { data, error } = manifestSchema.safeParse(content);
  if (!data) throw damagedIndex(path, `${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}`);
  const sum = (counts: readonly number[]) => counts.reduce((total, rows) => total + rows, 0);
  if (sum(data.lists) !== data.rows || sum(data.sources.map((source) => source.rows)) !== data.rows)
    throw damagedIndex(path, `lists or scans do not have ${data.rows} rows`);
  return data;
}
