import { readFileSync, statSync } from 'node:fs';
import { fromSystemError, UserError } from '../errors.js';
import { type CsvRecord, parseCsv } from './csv.js';
import { parseJsonTable } from './json.js';
import type { Table } from './table.js';

/** The endings of the files that {@link readTable} reads. */
export const TABLE_EXTENSIONS = ['.csv', '.tsv', '.txt', '.json'] as const;

export function isTablePath(path: string): boolean {
  return TABLE_EXTENSIONS.some((extension) => path.toLowerCase().endsWith(extension));
}

/** LUNA16's candidates take 66 MB. */
const MAX_BYTES = 1 << 28;

/**
 * Reads a table: text whose first line names the columns, split by commas, semicolons or tabs, whatever the file's
 * name says, with "quotes" where a cell holds such a sign; or JSON, a list of objects. UTF-8 or, with a byte-order mark,
 * UTF-16.
 * @throws UserError of kind `input` when it is no such table, of kind `disk` when it cannot be read
 */
export function readTable(path: string): Table {
  const text = readText(path);
  return /\.json$/i.test(path) ? parseJsonTable(path, text) : tableOf(path, parseCsv(path, text));
}

/** The lines of a CSV without names of columns. @throws UserError as {@link readTable} */
export const readRecords = (path: string): CsvRecord[] => parseCsv(path, readText(path));

/** A file with one name a line. @throws UserError as {@link readTable}, and for a line with several cells */
export const readLines = (path: string): string[] =>
  readRecords(path).map(({ line, cells }) => {
    if (cells.length === 1) return cells[0]!;
    throw new UserError('input', {
      what: 'a line has several cells',
      where: `${path}, line ${line}`,
      got: cells.join(', ').slice(0, 200),
      expected: 'one name per line',
    });
  });

/** The text of a file that is small enough for a table. @throws UserError */
export function readText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > MAX_BYTES)
      throw new UserError('input', {
        what: 'the file is too large for a table',
        where: path,
        got: `${size} bytes`,
        expected: `at most ${MAX_BYTES}`,
      });
    const bytes = readFileSync(path);
    return new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError)
      throw new UserError('input', {
        what: 'this text is in an encoding that is not known',
        where: path,
        expected: 'UTF-8, or UTF-16 with a byte-order mark',
        fix: 'save it as UTF-8; in Excel, as “CSV UTF-8”',
      });
    throw fromSystemError(error, path);
  }
}

/** By the byte-order mark. */
function encodingOf([first, second]: Uint8Array): string {
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  return first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8';
}

function tableOf(path: string, [head, ...records]: readonly CsvRecord[]): Table {
  if (!head)
    throw new UserError('input', {
      what: 'the table is empty',
      where: path,
      expected: 'a first line that names the columns',
    });
  const columns = head.cells;
  const repeated = columns.find((name, i) => name !== '' && columns.indexOf(name) !== i);
  if (repeated !== undefined)
    throw new UserError('input', {
      what: 'two columns have the same name',
      where: `${path}, line ${head.line}`,
      got: columns.join(', ').slice(0, 200),
      expected: `one column ${repeated}`,
    });
  const rows = records.map(({ line, cells }) => {
    const where = `${path}, line ${line}`;
    if (cells.length !== columns.length)
      throw new UserError('input', {
        what: 'a line has a different number of cells from the first one',
        where,
        got: cells.join(',').slice(0, 200),
        expected: columns.join(','),
      });
    return { where, cells: Object.fromEntries(columns.map((column, i) => [column, cells[i]!])) };
  });
  return { path, columns, rows };
}
