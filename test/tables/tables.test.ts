import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toCsv } from '../../src/tables/csv.js';
import { readLines, readTable } from '../../src/tables/read.js';
import { binaryIn, numberIn, requireColumns } from '../../src/tables/table.js';
import { temporaryFolder } from '../data/scan/samples.js';
import { errorOf } from '../data/store/tiles-sample.js';

const file = temporaryFolder();
const cellsOf = (name: string, content: string) =>
  readTable(file(name, content)).rows.map(({ cells }) => cells);

describe('readTable', () => {
  const expected = [
    { id: 'a', score: '0.5' },
    { id: 'b', score: '1' },
  ];

  it.each([
    ['commas', 'table.csv', 'id,score\na,0.5\nb,1\n'],
    ['tabs in spite of its name', 'table.csv', 'id\tscore\na\t0.5\nb\t1'],
    [
      'semicolons, line ends of Windows, a byte-order mark',
      'table.txt',
      '\uFEFFid;score\r\na;0.5\r\n\r\nb;1\r\n',
    ],
    ['quotes', 'table.csv', '"id","score"\n"a",0.5\nb,"1"\n'],
    ['JSON', 'table.json', '[{"id": "a", "score": 0.5}, {"score": 1, "id": "b"}]'],
  ])('reads %s', (_, name, content) => {
    expect(cellsOf(name, content)).toEqual(expected);
  });

  it('reads a table without lines, and one with a nameless column', () => {
    expect(readTable(file('head.csv', 'id,score\n'))).toMatchObject({ columns: ['id', 'score'], rows: [] });
    expect(cellsOf('index.csv', ',id\n0,a\n')).toEqual([{ '': '0', id: 'a' }]);
  });

  it('reads line ends of every kind, also within cells, and counts lines as an editor does', () => {
    const { rows } = readTable(file('ends.csv', 'id,note\r\na,"x\n\ny"\nb,2\r\n\r\nc,z'));
    expect(rows.map(({ cells }) => cells.note)).toEqual(['x\n\ny', '2', 'z']);
    expect(rows.map(({ where }) => where.split(', ').at(-1))).toEqual(['line 4', 'line 5', 'line 7']);
  });

  it('reads what Excel saves as Unicode', () => {
    const text = Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from('id\tname\na\tÄ\n', 'utf16le')]);
    expect(readTable(file('excel.txt', text)).rows[0]!.cells).toEqual({ id: 'a', name: 'Ä' });
    expect(readTable(file('mac.txt', text.swap16())).rows[0]!.cells).toEqual({ id: 'a', name: 'Ä' });
  });

  it('refuses other encodings, which would make different names one', () => {
    const path = file('latin1.csv', Buffer.from('id,label\nMüller,1\nMöller,2\n', 'latin1'));
    expect(errorOf(() => readTable(path)).message).toMatch(
      /encoding that is not known[\s\S]*save it as UTF-8/,
    );
  });

  it('stops at a cell without an end, instead of filling the memory', () => {
    const path = file('huge.csv', `id,score\na,1\nb,"${'x'.repeat(40_000_000)}"\n`);
    const before = process.memoryUsage().rss;
    expect(errorOf(() => readTable(path)).message).toMatch(/line 3: a line is longer than 1048576 bytes/);
    expect(process.memoryUsage().rss - before).toBeLessThan(500e6);
    expect(errorOf(() => readTable(file('huge.csv', Buffer.alloc(300_000_000)))).message).toMatch(
      /too large/,
    );
  });

  it('keeps separators and quotes in quoted cells, and empty cells', () => {
    expect(cellsOf('quoted.csv', 'a,b,c\n,"x, ""y""",\n"[4, 2]",,z\n')).toEqual([
      { a: '', b: 'x, "y"', c: '' },
      { a: '[4, 2]', b: '', c: 'z' },
    ]);
  });

  it.each([
    [
      'a line with a cell too few',
      'bad.csv',
      'id,score\na,1\nb\n',
      /bad\.csv, line 3: .*\n.*got: +b\n.*id,score/,
    ],
    ['a line with a cell too many', 'bad.csv', 'id,score\na,1,2\n', /line 2: a line has a different number/],
    [
      'a column twice',
      'bad.csv',
      'id,score, "score"\na,1,2\n',
      /line 1: two columns have the same name\n.*score, score/,
    ],
    ['a column twice, between tabs', 'bad.tsv', 'id\tid\na\t1\n', /two columns have the same name/],
    ['a column twice, between semicolons', 'bad.txt', 'id;id\na;1\n', /two columns have the same name/],
    [
      'a key twice',
      'bad.json',
      '[{"id":1},{"i\\u0064":"{\\"x\\":", "id": 2}]',
      /object 2: an object has the same key twice\n.*id/,
    ],
    ['a quote without an end', 'bad.csv', 'id,score\n"a,1\nb,2\n', /line 3: a quoted cell is not closed/],
    ['text behind a quote', 'bad.csv', 'id,score\n"a"b,1\n', /line 2: there is a quote inside a cell/],
    ['a quote in the middle', 'bad.csv', 'id,score\na"b,1\n', /line 2: there is a quote inside a cell/],
    ['an empty file', 'bad.csv', '', /bad\.csv: the table is empty/],
    ['an empty list', 'bad.json', '[]', /bad\.json: the table is empty/],
    ['nothing but empty lines', 'bad.csv', '\uFEFF\n \n', /the table is empty/],
    ['broken JSON', 'bad.json', '[{', /bad\.json: this is not JSON/],
    ['JSON that is no list of objects', 'bad.json', '{"a": 1}', /a list of objects/],
  ])('refuses %s', (_, name, content, message) => {
    expect(errorOf(() => readTable(file(name, content))).message).toMatch(message);
  });

  it('says which columns and numbers are missing, and where', () => {
    const table = readTable(file('scores.csv', 'name,score\na,\nb,high\nc,1e-3\n'));
    expect(errorOf(() => requireColumns(table, ['id', 'score'])).message).toMatch(
      /name, score\n.*expected: id, score/,
    );
    expect(errorOf(() => numberIn(table.rows[0]!, 'score')).message).toMatch(
      /line 2: score is not a number\n.*nothing/,
    );
    expect(errorOf(() => numberIn(table.rows[1]!, 'score')).message).toMatch(/line 3: [\s\S]*high/);
    expect(numberIn(table.rows[2]!, 'score')).toBe(0.001);
    expect(errorOf(() => binaryIn(table.rows[2]!, 'score')).message).toMatch(
      /line 4: [\s\S]*1e-3[\s\S]*0 or 1/,
    );
    const yes = readTable(file('yes.csv', 'label\n1.0\n0\n'));
    expect(yes.rows.map((row) => binaryIn(row, 'label'))).toEqual([1, 0]);
    expect(errorOf(() => readTable('/no/such/table.csv')).message).toMatch(/no such file/);
  });
});

describe('toCsv', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: fc.constantFrom(...'",;\t\r\n \uFEFFa') }),
  );
  const tables = fc
    .uniqueArray(
      text.filter((name) => name !== ''),
      { minLength: 1, maxLength: 4 },
    )
    .chain((columns) => {
      const cell = fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }));
      const row = fc.array(cell, { minLength: columns.length, maxLength: columns.length });
      return fc.tuple(fc.constant(columns), fc.array(row, { maxLength: 4 }));
    });

  it('writes what readTable reads as it was', () => {
    fc.assert(
      fc.property(tables, ([columns, rows]) => {
        const table = readTable(file('written.csv', toCsv(columns, rows)));
        expect(table.columns).toEqual(columns);
        const read = table.rows.map(({ cells }) => columns.map((column) => cells[column]));
        expect(read).toEqual(
          rows.map((row) => row.map((cell) => (Object.is(cell, -0) ? '0' : String(cell)))),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('quotes only where it has to', () => {
    expect(
      toCsv(
        ['id', 'a "b", c'],
        [
          ['x', ''],
          [' y', 0.1 + 0.2],
        ],
      ),
    ).toBe('id,"a ""b"", c"\nx,\n" y",0.30000000000000004\n');
  });
});

it('readLines gives the lines that are not empty', () => {
  expect(readLines(file('scans.csv', 'a\r\n\n  b \n"c, d"\n'))).toEqual(['a', 'b', 'c, d']);
  expect(errorOf(() => readLines(file('scans.csv', 'a\nb,1\n'))).message).toMatch(
    /line 2: a line has several cells/,
  );
});
