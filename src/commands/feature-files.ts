import { dirname } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { npyFile } from '../data/scan/npy.js';
import { commitTogether, linesFile, makeFolder, writeFileAtomic, writeLinesAtomic } from '../files.js';
import type { FeatureRow } from '../search/feature-row.js';

/** Of the files that hold feature vectors, without a dot. */
export const FEATURE_ENDINGS = ['npy', 'jsonl', 'parquet'] as const;

const AXES = ['x', 'y', 'z'];
const column = (
  name: string,
  type: 'INT32' | 'FLOAT' | 'DOUBLE',
  repetition_type: 'REQUIRED' | 'OPTIONAL',
) => ({
  name,
  type,
  repetition_type,
});
/** `features` is a list, so that one column holds a vector whatever its length. */
const SCHEMA = [
  { name: 'root', num_children: 9 },
  {
    name: 'source',
    type: 'BYTE_ARRAY' as const,
    converted_type: 'UTF8' as const,
    repetition_type: 'REQUIRED' as const,
  },
  ...AXES.map((axis) => column(axis, 'INT32', 'OPTIONAL')),
  ...AXES.map((axis) => column(`${axis}_mm`, 'DOUBLE', 'OPTIONAL')),
  column('windows', 'INT32', 'REQUIRED'),
  {
    name: 'features',
    num_children: 1,
    converted_type: 'LIST' as const,
    repetition_type: 'REQUIRED' as const,
  },
  { name: 'list', num_children: 1, repetition_type: 'REPEATED' as const },
  column('element', 'FLOAT', 'REQUIRED'),
];

/** Names of all columns, and of what they lie in. */
export const PARQUET_NAMES: readonly string[] = SCHEMA.map(({ name }) => name);

function toParquet(rows: readonly FeatureRow[]): Uint8Array {
  const offsets = AXES.map((name, i) => ({ name, data: rows.map((row) => row.offset?.[i] ?? null) }));
  const centres = AXES.map((axis, i) => ({
    name: `${axis}_mm`,
    data: rows.map((row) => row.centre?.[i] ?? null),
  }));
  const buffer = parquetWriteBuffer({
    schema: SCHEMA,
    columnData: [
      { name: 'source', data: rows.map((row) => row.source) },
      ...offsets,
      ...centres,
      { name: 'windows', data: rows.map((row) => row.windows) },
      { name: 'features', data: rows.map((row) => Array.from(row.features)) },
    ],
  });
  return new Uint8Array(buffer);
}

/** All but the vector, in one order. */
const placeOf = ({ source, offset, centre, windows }: FeatureRow) => ({ source, offset, centre, windows });

function* jsonlOf(rows: readonly FeatureRow[]): Generator<string> {
  for (const row of rows) yield JSON.stringify({ ...placeOf(row), features: Array.from(row.features) });
}

/** What each row of an array describes, for a format that holds numbers only. */
export const rowsPath = (path: string) => path.replace(/\.npy$/, '.rows.jsonl');

/** The files that {@link writeFeatures} makes: the one that is named, and what lies beside it. */
export const featureFiles = (path: string): [string, ...string[]] =>
  path.endsWith('.npy') ? [path, rowsPath(path)] : [path];

/** Writes all rows atomically; `.npy` gets `<name>.rows.jsonl` beside it. @returns the files written */
export async function writeFeatures(path: string, rows: readonly FeatureRow[]): Promise<string[]> {
  makeFolder(dirname(path));
  if (path.endsWith('.jsonl')) writeLinesAtomic(path, jsonlOf(rows));
  if (path.endsWith('.parquet')) writeFileAtomic(path, toParquet(rows));
  const files = featureFiles(path);
  const [, beside] = files;
  if (beside === undefined) return files;
  const length = rows[0]?.features.length ?? 0;
  const values = new Float32Array(rows.length * length);
  for (const [i, row] of rows.entries()) values.set(row.features, i * length);
  const places = rows.map((row) => JSON.stringify(placeOf(row)));
  commitTogether([() => linesFile(beside, places), () => npyFile(path, values, [rows.length, length])]);
  return files;
}
