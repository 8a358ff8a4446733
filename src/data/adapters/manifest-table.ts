/** A table with a line a sample, as the user's own data have it. */
import { dirname, resolve } from 'node:path';
import { UserError } from '../../errors.js';
import { readTable } from '../../tables/read.js';
import type { Row, Table } from '../../tables/table.js';
import { SAMPLE_SPLITS, type SampleSplit } from '../samples/manifest.js';
import type { AdapterOptions, ColumnName } from './adapter.js';

/** One sample as a table or a pair of folders describes it; paths are complete. */
export interface Item {
  readonly where: string;
  /** Null where it goes by its first image. */
  readonly id: string | null;
  /** Null where each sample counts as one. */
  readonly patient: string | null;
  readonly split: SampleSplit | null;
  /** One a channel; null where a cell is empty. */
  readonly images: readonly string[] | null;
  readonly mask: string | null;
  readonly label: string | null;
}

/** The column of a table by its name, in whatever case; the name itself where there is none. */
const columnOf = ({ columns }: Table, name: string): string =>
  columns.find((column) => column === name) ??
  columns.find((column) => column.toLowerCase() === name) ??
  name;

/** `image/{file}` with the cells of a row; undefined where the table has no such column. */
function fill(template: string, { cells, where }: Row, given: boolean): string | undefined {
  let missing = '';
  const text = template.replaceAll(/\{([^}]+)\}/g, (_, column: string) => {
    if (!Object.hasOwn(cells, column)) missing = column;
    return cells[column] ?? '';
  });
  if (missing === '') return text;
  if (!given) return undefined;
  throw new UserError('input', {
    what: 'the table does not have this column',
    where,
    got: missing,
    expected: Object.keys(cells).join(', '),
  });
}

const SPLIT_NAMES: ReadonlyMap<string, SampleSplit> = new Map(
  Object.entries({
    train: 'train',
    training: 'train',
    validation: 'validation',
    val: 'validation',
    valid: 'validation',
    test: 'test',
    testing: 'test',
  }),
);

function splitOf(text: string | undefined, where: string): SampleSplit | null {
  if (text === undefined || text === '') return null;
  const split = SPLIT_NAMES.get(text.toLowerCase());
  if (split) return split;
  throw new UserError('input', {
    what: 'unknown split',
    where,
    got: text,
    expected: SAMPLE_SPLITS.join(', '),
  });
}

/** The channels of a table: `image`, or all columns that begin with it, in their order. */
function imageTemplates({ columns }: Table, given: AdapterOptions['columns']): string[] {
  if (given?.image !== undefined) return [given.image];
  return columns.filter((column) => /^image/i.test(column)).map((column) => `{${column}}`);
}

/** @throws UserError for a table without images, columns that it does not have, and unknown splits */
export function itemsOfTable(path: string, { columns: given = {} }: AdapterOptions): Item[] {
  const table = readTable(path);
  const folder = dirname(resolve(path));
  const templates = imageTemplates(table, given);
  if (templates.length === 0)
    throw new UserError('input', {
      what: 'the table has no column for images',
      where: path,
      got: table.columns.join(', '),
      expected: 'a column `image`, or one column per channel whose name begins with it',
      fix: 'name the column of the images: --column image=folder/{file}',
    });
  return table.rows.map((row) => {
    const cell = (name: ColumnName) =>
      fill(given[name] ?? `{${columnOf(table, name)}}`, row, given[name] !== undefined);
    const path = (text: string) => resolve(folder, text);
    const images = templates.map((template) => fill(template, row, true)!);
    const mask = cell('mask');
    return {
      where: row.where,
      id: cell('id') || null,
      patient: cell('patient') || null,
      split: splitOf(cell('split'), row.where),
      images: images.includes('') ? null : images.map(path),
      mask: mask ? path(mask) : null,
      label: cell('label') || null,
    };
  });
}
