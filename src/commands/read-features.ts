/** Reads what `embed` writes: feature vectors, and what each describes. */
import { existsSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import * as z from 'zod';
import { readBytes } from '../data/scan/file.js';
import { parseNpy } from '../data/scan/npy.js';
import type { XYZ } from '../data/scan/volume.js';
import { fromSystemError, UserError } from '../errors.js';
import type { FeatureRow } from '../search/feature-row.js';
import { PARQUET_NAMES, rowsPath } from './feature-files.js';
import { firstLine } from './result-file.js';

const triple = z.tuple([z.number(), z.number(), z.number()]).readonly().nullable();
const placeSchema = z.object({ source: z.string(), offset: triple, centre: triple, windows: z.number() });
const rowSchema = placeSchema.extend({ features: z.array(z.number()).min(1) });

/** Anything in a file may be wrong. */
function checked<S extends z.ZodType>(schema: S, value: unknown, path: string, row: number): z.infer<S> {
  const { data, error } = schema.safeParse(value);
  if (data) return data;
  const [issue] = error!.issues;
  throw unreadable(path, `row ${row + 1}: ${issue?.path.join('.')}: ${issue?.message}`);
}

const unreadable = (where: string, got: string, cause?: unknown) =>
  new UserError('input', {
    what: 'these are not features',
    where,
    got,
    expected: 'a .parquet, .jsonl or .npy file written by `p2w embed`',
    cause,
  });

/** All bytes of a file, which may be more than `readFile` takes. */
const readWhole = (path: string) => readBytes(path, 0, Number.POSITIVE_INFINITY);

/** The lines of a file as values. Line by line: 100,000 vectors are more than a string may hold. */
export async function readJsonLines(path: string): Promise<unknown[]> {
  const values: unknown[] = [];
  // Buffers look for text in what is left of them, as they do not count beyond 2 GiB.
  for (let rest = await readWhole(path); rest.length > 0; ) {
    const newline = rest.indexOf('\n');
    const end = newline < 0 ? rest.length : newline;
    if (end > 0) values.push(JSON.parse(rest.toString('utf8', 0, end)));
    rest = rest.subarray(end + 1);
  }
  return values;
}

/** Three columns as one value; null where they are empty. */
function tripleOf(row: Record<string, unknown>, names: readonly [string, string, string]): unknown {
  const values = names.map((name) => row[name]);
  return values.every((value) => value === null || value === undefined) ? null : values;
}

async function readParquet(path: string): Promise<FeatureRow[]> {
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path) });
  return rows.map((row, i) => {
    const offset = tripleOf(row, ['x', 'y', 'z']);
    const centre = tripleOf(row, ['x_mm', 'y_mm', 'z_mm']);
    return toRow(checked(rowSchema, { ...row, offset, centre }, path, i));
  });
}

async function readNpyRows(path: string): Promise<FeatureRow[]> {
  const { data, shape } = parseNpy(path, await readWhole(path));
  const rows = await readJsonLines(rowsPath(path));
  const [count, dimensions] = shape;
  if (shape.length !== 2 || rows.length !== count)
    throw unreadable(path, `an array of ${shape.join('×')}, with ${rows.length} rows in ${rowsPath(path)}`);
  const values = Float32Array.from(data as Float32Array);
  return rows.map((row, i) => ({
    ...checked(placeSchema, row, rowsPath(path), i),
    features: values.subarray(i * dimensions!, (i + 1) * dimensions!),
  }));
}

const toRow = ({ features, ...place }: z.infer<typeof rowSchema>): FeatureRow => ({
  ...(place as { source: string; offset: XYZ | null; centre: XYZ | null; windows: number }),
  features: Float32Array.from(features),
});

const lineSchema = z.strictObject({ ...rowSchema.shape, features: rowSchema.shape.features.optional() });

/** Whether a file begins as those that `embed` writes: features, or the rows that lie beside an array. */
export async function isFeatureFile(path: string): Promise<boolean> {
  try {
    if (path.endsWith('.parquet')) {
      const { schema } = await parquetMetadataAsync(await asyncBufferFromFile(path));
      return isDeepStrictEqual(
        schema.map(({ name }) => name),
        PARQUET_NAMES,
      );
    }
    const lines = path.endsWith('.npy') ? rowsPath(path) : path;
    if (!existsSync(lines)) return false;
    const line = await firstLine(lines);
    return line === null || lineSchema.safeParse(JSON.parse(line)).success;
  } catch (error) {
    const known = fromSystemError(error, path);
    if (known instanceof UserError) throw known;
    return false; // neither parquet nor JSON
  }
}

/**
 * Reads feature vectors.
 * @param path `.parquet`, `.jsonl`, or `.npy` with its `.rows.jsonl` beside it
 * @throws UserError when it cannot be read, or is something else
 */
export async function readFeatures(path: string): Promise<FeatureRow[]> {
  try {
    if (path.endsWith('.parquet')) return await readParquet(path);
    if (path.endsWith('.npy')) return await readNpyRows(path);
    if (path.endsWith('.jsonl'))
      return (await readJsonLines(path)).map((row, i) => toRow(checked(rowSchema, row, path, i)));
  } catch (error) {
    const known = fromSystemError(error, path);
    throw known instanceof UserError ? known : unreadable(path, known.message, error);
  }
  throw unreadable(path, 'a file of another kind');
}
