/** Small tables that people make with other programs: scores, labels, annotations. */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { fromSystemError, UserError } from '../errors.js';
import { printable } from './formats/unreadable.js';

/** One line of a table, by column. */
export interface Row {
  /** Where it stands, for messages: `scores.csv, line 12`. */
  readonly where: string;
  /** Without control characters. */
  readonly cells: Readonly<Record<string, string>>;
}

export interface Table {
  readonly path: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** The endings of the files that {@link readTable} reads. */
export const TABLE_EXTENSIONS = ['.csv', '.tsv', '.txt', '.json'] as const;

export function isTablePath(path: string): boolean {
  return TABLE_EXTENSIONS.some((extension) => path.toLowerCase().endsWith(extension));
}

/**
 * Reads a table: text whose first line names the columns, split by commas, semicolons or tabs, whatever the file's
 * name says, with "quotes" where a cell holds such a sign; or JSON, a list of objects.
 * @throws UserError of kind `input` when it is no such table, of kind `disk` when it cannot be read
 */
export function readTable(path: string): Table {
  const text = readText(path);
  return /\.json$/i.test(path) ? parseJson(path, text) : parseText(path, text);
}

/** The lines of a text file that are not empty, without white space around them. @throws UserError as above */
export function readLines(path: string): string[] {
  return readText(path)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    throw fromSystemError(error, path);
  }
}

function parseText(path: string, text: string): Table {
  const lines = text.split(/\r?\n/);
  const separator = ['\t', ';', ','].find((sign) => lines[0]!.includes(sign)) ?? ',';
  const columns = cellsOf(lines[0]!, separator);
  const rows = lines.flatMap((line, index) => {
    if (index === 0 || line.trim() === '') return [];
    const where = `${path}, line ${index + 1}`;
    const values = cellsOf(line, separator);
    if (values.length !== columns.length) {
      throw new UserError('input', {
        what: 'a line has another number of cells than the first one',
        where,
        got: printable(line).slice(0, 200),
        expected: columns.join(separator),
      });
    }
    return [{ where, cells: Object.fromEntries(columns.map((column, i) => [column, values[i]!])) }];
  });
  return { path, columns, rows };
}

function cellsOf(line: string, separator: string): string[] {
  if (!line.includes('"')) return line.split(separator).map((cell) => printable(cell.trim()));
  const cell = new RegExp(`(?<=^|${separator}) *(?:"((?:[^"]|"")*)"|([^${separator}]*))`, 'g');
  return [...line.matchAll(cell)].map(([, quoted, plain]) =>
    printable(quoted?.replaceAll('""', '"') ?? plain!.trim()),
  );
}

const jsonTable = z.array(z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])));

function parseJson(path: string, text: string): Table {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new UserError('input', {
      what: 'this is not JSON',
      where: path,
      got: (cause as Error).message,
      cause,
    });
  }
  const parsed = jsonTable.safeParse(content);
  if (!parsed.success) {
    throw new UserError('input', {
      what: 'this is no table',
      where: path,
      expected: 'a list of objects, such as [{"id": "a", "score": 0.7}]',
    });
  }
  const columns = [...new Set(parsed.data.flatMap((row) => Object.keys(row)))];
  const rows = parsed.data.map((row, i) => ({
    where: `${path}, object ${i + 1}`,
    cells: Object.fromEntries(columns.map((column) => [column, printable(String(row[column] ?? ''))])),
  }));
  return { path, columns, rows };
}

/** @throws UserError when a table lacks one of these columns */
export function requireColumns({ path, columns }: Table, needed: readonly string[]): void {
  if (needed.every((column) => columns.includes(column))) return;
  throw new UserError('input', {
    what: 'the table lacks columns',
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
