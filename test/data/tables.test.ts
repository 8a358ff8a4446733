import { describe, expect, it } from 'vitest';
import { numberIn, readLines, readTable, requireColumns } from '../../src/data/tables.js';
import { temporaryFolder } from './formats/samples.js';
import { errorOf } from './tiles-sample.js';

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
    expect(errorOf(() => readTable('/no/such/table.csv')).message).toMatch(/no such file/);
  });
});

it('readLines gives the lines that are not empty', () => {
  expect(readLines(file('scans.csv', 'a\r\n\n  b \n'))).toEqual(['a', 'b']);
});
