import { dirname } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { writeNpy } from '../data/scan/npy.js';
import type { XYZ } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import { isFolder, makeFolder, writeFileAtomic } from '../files.js';

/** One feature vector, and what it describes. */
export interface FeatureRow {
  /** Scan file, or tile store and scan. */
  readonly source: string;
  /** First voxel of the tile in its scan, x, y, z; null for a whole scan. */
  readonly offset: XYZ | null;
  /** Tiles that were averaged. */
  readonly tiles: number;
  readonly features: Float32Array;
}

const required = (name: string, type: 'INT32' | 'FLOAT') => ({
  name,
  type,
  repetition_type: 'REQUIRED' as const,
});
/** `features` is a list, so that one column holds a vector whatever its length. */
const SCHEMA = [
  { name: 'root', num_children: 6 },
  {
    name: 'source',
    type: 'BYTE_ARRAY' as const,
    converted_type: 'UTF8' as const,
    repetition_type: 'REQUIRED' as const,
  },
  ...['x', 'y', 'z'].map((axis) => ({
    name: axis,
    type: 'INT32' as const,
    repetition_type: 'OPTIONAL' as const,
  })),
  required('tiles', 'INT32'),
  {
    name: 'features',
    num_children: 1,
    converted_type: 'LIST' as const,
    repetition_type: 'REQUIRED' as const,
  },
  { name: 'list', num_children: 1, repetition_type: 'REPEATED' as const },
  required('element', 'FLOAT'),
];

function toParquet(rows: readonly FeatureRow[]): Uint8Array {
  const offsets = ['x', 'y', 'z'].map((name, i) => ({
    name,
    data: rows.map((row) => row.offset?.[i] ?? null),
  }));
  const buffer = parquetWriteBuffer({
    schema: SCHEMA,
    columnData: [
      { name: 'source', data: rows.map((row) => row.source) },
      ...offsets,
      { name: 'tiles', data: rows.map((row) => row.tiles) },
      { name: 'features', data: rows.map((row) => Array.from(row.features)) },
    ],
  });
  return new Uint8Array(buffer);
}

const toJsonl = (rows: readonly FeatureRow[]): string =>
  rows.map((row) => `${JSON.stringify({ ...row, features: Array.from(row.features) })}\n`).join('');

/** What each row of an array describes, for a format that holds numbers only. */
const rowsPath = (path: string) => path.replace(/\.npy$/, '.rows.jsonl');

/** Throws a UserError now, not after hours of work, when the name has no known ending or is a folder's. */
export function checkFeaturePath(path: string): void {
  if (isFolder(path)) throw new UserError('usage', { what: 'this is a folder, not a file', where: path });
  if (!/\.(npy|jsonl|parquet)$/.test(path))
    throw new UserError('usage', {
      what: 'the file extension sets the format of the features',
      where: '--out',
      got: path,
      expected: '.npy, .jsonl or .parquet',
    });
}

/** Writes all rows atomically; `.npy` gets `<name>.rows.jsonl` beside it. @returns the files written */
export async function writeFeatures(path: string, rows: readonly FeatureRow[]): Promise<string[]> {
  checkFeaturePath(path);
  makeFolder(dirname(path));
  if (path.endsWith('.jsonl')) writeFileAtomic(path, toJsonl(rows));
  if (path.endsWith('.parquet')) writeFileAtomic(path, toParquet(rows));
  if (!path.endsWith('.npy')) return [path];
  const length = rows[0]?.features.length ?? 0;
  const values = new Float32Array(rows.length * length);
  for (const [i, row] of rows.entries()) values.set(row.features, i * length);
  writeFileAtomic(rowsPath(path), rows.map(({ features: _, ...row }) => `${JSON.stringify(row)}\n`).join(''));
  await writeNpy(path, values, [rows.length, length]);
  return [path, rowsPath(path)];
}
