/** Tables as text. Reading and writing stand side by side, so that what is written can be read. */
import { CsvError, parse } from 'csv-parse/sync';
import { stringify } from 'csv-stringify/sync';
import { UserError } from '../errors.js';

/** One line of a table, which may be several lines of its file. */
export interface CsvRecord {
  /** Its last line in the file, from 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

/** Bytes of one record at most; real ones are a thousand times smaller, and a quote that is never closed is not. */
const MAX_RECORD_BYTES = 1 << 20;
/** Records at most: each takes some hundred bytes of memory. LUNA16's candidates are 754,975. */
const MAX_RECORDS = 5_000_000;

/** What separates cells: the first of tab, semicolon and comma in the first line, quoted cells aside. */
function separatorOf(text: string): string {
  const start = text.slice(0, MAX_RECORD_BYTES).replace(/"[^"]*"/g, '""');
  const [line = ''] = /^.*\S.*$/m.exec(start) ?? [];
  return ['\t', ';', ','].find((sign) => line.includes(sign)) ?? ',';
}

const PROBLEMS: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'a quoted cell is not closed',
  CSV_MAX_RECORD_SIZE: `a line is longer than ${MAX_RECORD_BYTES} bytes: a quoted cell may not be closed`,
};

/**
 * Cells separated by commas, semicolons or tabs, with "quotes" around those that hold such a sign. White space around
 * cells and empty lines do not count.
 * @param path for messages
 * @throws UserError that names the line, for quotes that do not match and for what is too large to be a table
 */
export function parseCsv(path: string, text: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  try {
    parse(text, {
      delimiter: separatorOf(text),
      record_delimiter: ['\r\n', '\n', '\r'],
      trim: true,
      skip_empty_lines: true,
      relax_column_count: true,
      max_record_size: MAX_RECORD_BYTES,
      on_record: (cells: string[], { lines }) => {
        if (records.length === MAX_RECORDS) throw tooLong(path);
        records.push({ line: lines, cells });
        return null;
      },
    });
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    throw new UserError('input', {
      what: PROBLEMS[cause.code] ?? 'there is a quote inside a cell',
      where: `${path}, line ${cause.lines}`,
      expected: 'quotes around entire cells, and "" for a quote inside',
      cause,
    });
  }
  return records;
}

const tooLong = (where: string) =>
  new UserError('input', {
    what: `the table has more than ${MAX_RECORDS.toLocaleString('en')} lines`,
    where,
  });

/** White space at the ends, and other separators, which reading would take for what they are not. */
const MISREAD = /^\s|\s$|[\t;\r]/;

/** A table as the text of a CSV file, column names first; numbers keep all their digits. */
export const toCsv = (columns: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  stringify([columns, ...rows], {
    quoted_match: MISREAD,
    // A line with one empty cell would be an empty line.
    quoted_empty: columns.length === 1,
  });
