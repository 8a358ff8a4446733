import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { toCsv } from '../src/csv.js';
import { readTable } from '../src/data/tables.js';
import { temporaryFolder } from './data/tiles-sample.js';

test('what is written as CSV is read as it was', () => {
  const path = join(temporaryFolder(), 'table.csv');
  const rows = [
    ['plain', 0.1 + 0.2],
    ['with, comma', -1e-7],
    ['"quoted"', 3],
  ] as const;
  writeFileSync(path, toCsv(['name', 'value'], rows));
  const read = readTable(path).rows.map(({ cells }) => [cells.name, Number(cells.value)]);
  expect(read).toEqual(rows);
});
