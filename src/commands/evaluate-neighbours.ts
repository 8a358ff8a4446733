/** Do neighbours in a search index share what is known of them? */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { grouped } from '../../graphs/onnx/grouped.js';
import { scanExtension } from '../data/scan/extensions.js';
import { abridged, checkInteger, UserError } from '../errors.js';
import { isFolder } from '../files.js';
import { permutation, randomStream } from '../random.js';
import { indexManifestPath } from '../search/manifest.js';
import { openIndex, type SearchIndex, similarRows } from '../search/open-index.js';
import { rowOf } from '../search/vectors.js';
import { type Row, requireColumns, type Table } from '../tables/table.js';
import { type Evaluation, type Resampling, withIntervals } from './evaluation.js';

export interface NeighbourOptions extends Resampling {
  /** In which neighbours are compared. */
  readonly columns: readonly string[];
  /** Column of what must differ; neighbours are of other scans in any case. */
  readonly apart?: string;
  /** Neighbours of each row. */
  readonly k: number;
}

/** Rows whose neighbours are looked for. */
const MOST_QUERIES = 2000;
/** A column of more different numbers is one of quantities, another of classes. */
const CLASSES = 10;

export const isIndex = (path: string): boolean => isFolder(path) && existsSync(indexManifestPath(path));

/** Columns that name a scan, the first that is there. */
const KEYS = ['id', 'scan', 'file'];

const withoutExtension = (text: string): string =>
  text.slice(0, text.length - (scanExtension(text)?.length ?? 0));

/** Texts by what is made of them, but for those that have it in common. */
function uniqueBy(texts: readonly string[], of: (text: string) => string): Map<string, string> {
  const groups = grouped(texts, of);
  return new Map(
    [...groups].flatMap(([key, [only, ...others]]) => (others.length > 0 ? [] : [[key, only!]])),
  );
}

/** The row of each scan: the one of its name, or of its file name where no other scan and no other row has that. */
function rowsByName(names: readonly string[], table: Table, key: string): Map<string, Row> {
  const rows = grouped(table.rows, ({ cells }) => withoutExtension(cells[key]!));
  const repeated = [...rows].find(([, { length }]) => length > 1);
  if (repeated)
    throw new UserError('input', {
      what: 'several rows are of the same scan',
      where: repeated[1].map(({ where }) => where).join(', '),
      got: repeated[0],
      expected: `each name once in the column ${key}`,
    });
  const bare = (text: string) => basename(withoutExtension(text));
  const [scansByBare, rowsByBare] = [uniqueBy(names, bare), uniqueBy([...rows.keys()], bare)];
  return new Map(
    names.flatMap((name): [string, Row][] => {
      const byBare = scansByBare.has(bare(name)) ? rowsByBare.get(bare(name)) : undefined;
      const row = rows.get(withoutExtension(name)) ?? (byBare === undefined ? undefined : rows.get(byBare));
      return row ? [[name, row[0]!]] : [];
    }),
  );
}

/** Cells of each scan of the index, in its order. @throws UserError when the table does not have them all */
function cellsOf({ manifest }: SearchIndex, table: Table, columns: readonly string[]): readonly string[][] {
  const key = KEYS.find((name) => table.columns.includes(name)) ?? KEYS[0]!;
  requireColumns(table, [key, ...columns]);
  const names = manifest.sources.map(({ name }) => name);
  const rows = rowsByName(names, table, key);
  const missing = names.filter((name) => !rows.has(name));
  if (missing.length > 0)
    throw new UserError('input', {
      what: `some scans of the index have no row with their name in the column ${key}`,
      where: table.path,
      got: `none for ${abridged(missing)}`,
    });
  return names.map((name) => columns.map((column) => rows.get(name)!.cells[column]!));
}

/** Cells in which tables say that something is not known. */
const isUnknown = (cell: string): boolean => /^(|na|n\/a|nan|null)$/i.test(cell.trim());

/** How far apart two known cells are: of quantities their difference, of classes 1 where they are the same. */
function measureOf(values: readonly string[]): { name: string; of: (a: string, b: string) => number } {
  const different = new Set(values.filter((cell) => !isUnknown(cell)));
  const isQuantity =
    different.size > CLASSES && [...different].every((text) => Number.isFinite(Number(text)));
  return isQuantity
    ? { name: 'difference', of: (a, b) => Math.abs(Number(a) - Number(b)) }
    : { name: 'same', of: (a, b) => (a === b ? 1 : 0) };
}

/** A row of the index: its scan's number, and its vector. */
interface Entry {
  readonly scan: number;
  readonly vector: Float32Array;
}

/** All rows of an index. */
function entriesOf(index: SearchIndex): Entry[] {
  const numbers = new Map(index.manifest.sources.map(({ name }, i) => [name, i]));
  return index.manifest.lists.flatMap((rows, list) => {
    const { first, vectors } = index.readList(list);
    return Array.from({ length: rows }, (_, i) => ({
      scan: numbers.get(index.placeOf(first + i).source)!,
      vector: rowOf(vectors, i),
    }));
  });
}

/** What one query has in common with its neighbours and with all others, one a column; NaN where that is not known. */
interface Compared {
  /** What is drawn as one by the bootstrap: a scan, or what is to be apart. */
  readonly group: string;
  readonly near: readonly number[];
  readonly all: readonly number[];
}

/**
 * Compares rows of an index with their nearest neighbours, and with all rows that could be neighbours: chance.
 * @throws UserError when the table lacks a column or a scan, or there is nothing to compare
 */
export function evaluateNeighbours(folder: string, table: Table, options: NeighbourOptions): Evaluation {
  const { columns, apart, k, ...resampling } = options;
  checkInteger('--k', k, 1);
  if (columns.length === 0)
    throw new UserError('usage', {
      what: 'say in which columns neighbours are to be compared',
      where: '--columns',
      expected: table.columns.join(', ').slice(0, 200),
    });
  const index = openIndex(folder);
  const cells = cellsOf(index, table, columns);
  const apartCells = apart === undefined ? [] : cellsOf(index, table, [apart]).flat();
  // Who is not known is nobody else.
  const groups = cells.map((_, scan) => {
    const cell = apartCells[scan];
    return cell === undefined || isUnknown(cell) ? `\0${scan}` : cell;
  });
  const measures = columns.map((_, c) => measureOf(cells.map((row) => row[c]!)));
  if (new Set(groups).size < 2)
    throw new UserError('input', {
      what: 'no row of the index has a neighbour to be compared with',
      where: apart === undefined ? folder : `--apart ${apart}`,
      got: apart === undefined ? 'one scan' : 'the same in all scans',
    });
  const entries = entriesOf(index);
  const groupRows = new Map<string, number>();
  for (const { scan } of entries) groupRows.set(groups[scan]!, (groupRows.get(groups[scan]!) ?? 0) + 1);

  const meansOver = (scan: number, others: readonly number[]) =>
    measures.map(({ of }, c) => {
      const own = cells[scan]![c]!;
      const known = isUnknown(own) ? [] : others.filter((other) => !isUnknown(cells[other]![c]!));
      return known.reduce((sum, other) => sum + of(own, cells[other]![c]!), 0) / known.length;
    });
  const compared = [...permutation(randomStream(1, 'queries'), entries.length).subarray(0, MOST_QUERIES)].map(
    (row): Compared => {
      const { scan, vector } = entries[row]!;
      const isOther = (other: number) => groups[other] !== groups[scan];
      const near = similarRows(index, vector, k + groupRows.get(groups[scan]!)!)
        .map((found) => entries[found.row]!.scan)
        .filter(isOther)
        .slice(0, k);
      const all = entries.map((entry) => entry.scan).filter(isOther);
      return { group: groups[scan]!, near: meansOver(scan, near), all: meansOver(scan, all) };
    },
  );
  // Rows of a scan are much alike: drawn one by one, they would seem to be more evidence than they are.
  const units = new Map([...new Set(compared.map(({ group }) => group))].map((group, i) => [group, i]));
  const meanOver = (values: readonly number[], draws?: Uint32Array) => {
    let [sum, count] = [0, 0];
    for (const [i, value] of values.entries()) {
      if (Number.isNaN(value)) continue;
      const times = draws?.[units.get(compared[i]!.group)!] ?? 1;
      sum += times * value;
      count += times;
    }
    return sum / count;
  };
  const measure = (draws?: Uint32Array) =>
    Object.fromEntries(
      columns.flatMap((column, c) => {
        const name = `${column}_${measures[c]!.name}`;
        const of = (which: 'near' | 'all') =>
          meanOver(
            compared.map((query) => query[which][c]!),
            draws,
          );
        return [
          [name, of('near')],
          [`${name}_by_chance`, of('all')],
        ];
      }),
    );
  return {
    kind: 'neighbours',
    facts: { rows: entries.length, queries: compared.length, neighbours: k },
    ...withIntervals(units.size, measure, resampling),
    standardDeviations: {},
    notes: [
      ...columns.flatMap((column, c) => {
        const unknown = cells.filter((row) => isUnknown(row[c]!)).length;
        return unknown > 0
          ? [`${column}: left out for ${unknown} of ${cells.length} scans, where it is not known`]
          : [];
      }),
      ...(apartCells.some(isUnknown)
        ? [
            `${apart}: not known for ${apartCells.filter(isUnknown).length} of ${cells.length} scans, each of which counts as one of its own`,
          ]
        : []),
    ],
    cases: [],
  };
}
