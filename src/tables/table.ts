/** Small tables that people make with other programs: scores, labels, annotations. */
import { UserError } from '../errors.js';

/** One line of a table, by column. */
export interface Row {
  /** Where it stands, for messages: `scores.csv, line 12`. */
  readonly where: string;
  readonly cells: Readonly<Record<string, string>>;
}

export interface Table {
  readonly path: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** @throws UserError when a table lacks one of these columns */
export function requireColumns({ path, columns }: Table, needed: readonly string[]): void {
  if (needed.every((column) => columns.includes(column))) return;
  throw new UserError('input', {
    what: 'the table has missing columns',
    where: path,
    got: columns.join(', ').slice(0, 200),
    expected: needed.join(', '),
  });
}

/** A cell as a number. @throws UserError naming the line when it is none */
export function numberIn({ where, cells }: Row, column: string): number {
  const text = cells[column]!;
  const value = Number(text);
  if (text !== '' && Number.isFinite(value)) return value;
  throw new UserError('input', {
    what: `${column} is not a number`,
    where,
    got: text === '' ? 'nothing' : text.slice(0, 80),
  });
}

/** A cell that says yes or no, as 1 or 0, `1.0` and `0.0` included. @throws UserError naming the line for all else */
export function binaryIn(row: Row, column: string): 0 | 1 {
  const text = row.cells[column]!;
  const value = text === '' ? Number.NaN : Number(text);
  if (value === 0 || value === 1) return value;
  throw new UserError('input', {
    what: 'a label is not one of the classes',
    where: row.where,
    got: text === '' ? 'nothing' : text.slice(0, 80),
    expected: '0 or 1',
  });
}
