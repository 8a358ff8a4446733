/** Joins what several processes have written, each of scans of its own. */
import { parse, relative, resolve, sep } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { commonFolder } from '../data/store/sources.js';
import { fromSystemError, UserError } from '../errors.js';
import { isSame, writeFileAtomic, writeLinesAtomic } from '../files.js';
import type { FeatureRow } from '../search/feature-row.js';
import { isOfShard } from '../shard.js';
import { toCsv } from '../tables/csv.js';
import { readTable } from '../tables/read.js';
import { type Classified, isClassesFile } from './classify.js';
import { FEATURE_ENDINGS, featureFiles, writeFeatures } from './feature-files.js';
import { isFeatureFile, readFeatures, readJsonLines } from './read-features.js';
import { checkResultFile, firstLine, withResultFile } from './result-file.js';

export interface MergeOptions {
  /** Files that `embed`, `classify`, `segment` or `reconstruct` wrote, in the order that their rows are to have. */
  readonly input: readonly string[];
  /** Of the same kind; features may change their format: `.npy`, `.jsonl` or `.parquet`. */
  readonly out: string;
  /** Puts the name of the part before those of its scans: for parts that have scans of the same name. */
  readonly nameParts?: boolean;
}

export interface MergeSummary {
  readonly files: readonly string[];
  readonly parts: number;
  readonly scans: number;
  readonly rows: number;
}

/** What a file holds. */
interface Content<Row> {
  /** What all parts must have in common, and what that is called. Undefined where there is no row to see it from. */
  readonly common: readonly string[] | undefined;
  readonly rows: readonly Row[];
}

/** A kind of results. */
interface Kind<Row> {
  readonly common: 'columns' | 'classes' | 'number of features';
  /** @throws UserError for a file of another kind */
  readonly read: (path: string) => Promise<Content<Row>>;
  readonly scanOf: (row: Row) => string;
  readonly rename: (row: Row, scan: string) => Row;
  /** @returns the files written */
  readonly write: (path: string, rows: readonly Row[], common: readonly string[]) => Promise<string[]>;
}

const FEATURES: Kind<FeatureRow> = {
  common: 'number of features',
  read: async (path) => {
    const rows = await readFeatures(path);
    return { common: rows[0] && [String(rows[0].features.length)], rows };
  },
  scanOf: ({ source }) => source,
  rename: (row, source) => ({ ...row, source }),
  write: writeFeatures,
};

/** `volumes.csv`, `errors.csv`, and the tables of `classify`: what a row is of stands first. */
const SCAN_COLUMN = 'scan';

const TABLE: Kind<readonly string[]> = {
  common: 'columns',
  read: async (path) => {
    if (!path.endsWith('.csv')) throw otherKind(path, 'a .csv file');
    const { columns, rows } = readTable(path);
    if (columns[0] !== SCAN_COLUMN) throw otherKind(path, 'a table of scans', columns.join(','));
    return { common: columns, rows: rows.map(({ cells }) => columns.map((column) => cells[column]!)) };
  },
  scanOf: ([scan]) => scan!,
  rename: ([, ...cells], scan) => [scan, ...cells],
  write: async (path, rows, columns) => {
    writeFileAtomic(path, toCsv(columns, rows));
    return [path];
  },
};

const classifiedSchema = z.strictObject({
  scan: z.string(),
  centre: z.tuple([z.number(), z.number(), z.number()]),
  class: z.string(),
  probabilities: z.record(z.string(), z.number()),
});

const CLASSES: Kind<Classified> = {
  common: 'classes',
  read: async (path) => {
    try {
      const rows = z.array(classifiedSchema).parse(await readJsonLines(path));
      return { common: rows[0] && Object.keys(rows[0].probabilities), rows };
    } catch (error) {
      const known = fromSystemError(error, path);
      throw known instanceof UserError ? known : otherKind(path, 'a .jsonl file written by `p2w classify`');
    }
  },
  scanOf: ({ scan }) => scan,
  rename: (row, scan) => ({ ...row, scan }),
  write: async (path, rows) => {
    writeLinesAtomic(
      path,
      rows.map((row) => JSON.stringify(row)),
    );
    return [path];
  },
};

const otherKind = (where: string, expected: string, got?: string) =>
  new UserError('input', {
    what: 'this is not a part of these results',
    where,
    ...(got === undefined ? {} : { got: got.slice(0, 200) }),
    expected,
  });

/** Whether a file begins as one that is written here: features, classes, or a table of the columns that the parts have. */
const isResultOf =
  ([part]: readonly string[]) =>
  async (path: string): Promise<boolean> => {
    if (path.endsWith('.csv'))
      return (await isClassesFile(path)) || (await firstLine(path)) === (await firstLine(part!));
    return (await isFeatureFile(path)) || (path.endsWith('.jsonl') && (await isClassesFile(path)));
  };

/** Paths of parts from the folder that all have in common, without their endings. */
function namesOf(paths: readonly string[]): string[] {
  const common = commonFolder(paths);
  return paths.map((path) => {
    const { dir, name } = parse(relative(common, resolve(path)));
    return [...(dir === '' ? [] : dir.split(sep)), name].join('/');
  });
}

/** @throws UserError when parts do not belong together, or have the same scan */
function joined<Row>(
  { common, scanOf, rename }: Kind<Row>,
  parts: readonly (Content<Row> & { readonly path: string })[],
  nameParts: boolean,
): Row[] {
  const first = parts.find((part) => part.common);
  for (const { path, common: own } of parts) {
    if (!own || isDeepStrictEqual(own, first!.common)) continue;
    throw new UserError('input', {
      what: `the parts differ in their ${common}: they are not of the same model, or not of the same kind`,
      where: path,
      got: own.join(', '),
      expected: `${first!.common!.join(', ')}, as in ${first!.path}`,
    });
  }
  const names = namesOf(parts.map(({ path }) => path));
  const partOf = new Map<string, number>();
  return parts.flatMap(({ path, rows }, part) =>
    rows.map((row) => {
      const scan = nameParts ? `${names[part]}/${scanOf(row)}` : scanOf(row);
      const other = partOf.get(scan) ?? part;
      if (other !== part)
        throw new UserError('input', {
          what: 'two parts have a scan of the same name',
          where: path,
          got: `${scan}, which is in ${parts[other]!.path} too`,
          expected: 'each scan in one part',
          fix: 'leave one of the parts out; if they are different scans, add --name-parts',
        });
      partOf.set(scan, part);
      return rename(row, scan);
    }),
  );
}

async function mergeKind<Row>(kind: Kind<Row>, options: MergeOptions): Promise<MergeSummary> {
  const parts = [];
  for (const path of options.input) parts.push({ path, ...(await kind.read(path)) });
  const rows = joined(kind, parts, options.nameParts ?? false);
  const common = parts.find((part) => part.common)?.common ?? [];
  return {
    files: await kind.write(options.out, rows, common),
    parts: parts.length,
    scans: new Set(rows.map(kind.scanOf)).size,
    rows: rows.length,
  };
}

/**
 * Joins files of results that were made of different scans with the same model: feature vectors, classes, volumes of masks, errors of
 * reconstructions. Of parts in the order of their scans, it makes what one call on all scans makes.
 * @throws UserError when a part cannot be read, or is of another kind or model; when two have a scan of the same name; when the result
 *   would overwrite a part or something else, or cannot be written
 * @example
 * await merge({ input: ['parts/1.parquet', 'parts/2.parquet'], out: 'features.parquet' });
 */
export async function merge(options: MergeOptions): Promise<MergeSummary> {
  const { input, out } = options;
  if (input.length === 0) throw new UserError('usage', { what: 'there are no parts to merge' });
  const record = input.find(isOfShard);
  if (record !== undefined)
    throw new UserError('usage', {
      ...{ what: 'this is what a shard has finished, and no result yet', where: record },
      fix: 'run the same command without --shard: it joins the parts of all shards',
    });
  const [, beside] = featureFiles(out);
  const overwritten = featureFiles(out).find((file) =>
    input.flatMap(featureFiles).some((part) => isSame(part, file)),
  );
  if (overwritten !== undefined)
    throw new UserError('usage', {
      ...{ what: 'the result would overwrite one of its parts', where: overwritten },
      fix: 'choose another file for --out',
    });
  await checkResultFile(
    out,
    { input: [] },
    { endings: [...FEATURE_ENDINGS, 'csv'], beside, isResult: isResultOf(input) },
  );
  return withResultFile(out, 'merge', undefined, async () => {
    if (out.endsWith('.csv')) return mergeKind(TABLE, options);
    const isOfFeatures = !out.endsWith('.jsonl') || (await isFeatureFile(input[0]!));
    return isOfFeatures ? mergeKind(FEATURES, options) : mergeKind(CLASSES, options);
  });
}
