/** Tables as JSON: a list of objects, one a line. */
import * as z from 'zod';
import { UserError } from '../errors.js';
import type { Table } from './table.js';

const schema = z.array(z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])));

/**
 * A list of flat objects; a key that one lacks is an empty cell.
 * @throws UserError when it is something else or empty, or an object has a key twice
 */
export function parseJsonTable(path: string, text: string): Table {
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
  const parsed = schema.safeParse(content);
  if (!parsed.success)
    throw new UserError('input', {
      what: 'this is not a table',
      where: path,
      expected: 'a list of objects, for example [{"id": "a", "score": 0.7}]',
    });
  if (parsed.data.length === 0)
    throw new UserError('input', {
      what: 'the table is empty',
      where: path,
      expected: 'at least one object',
    });
  refuseRepeatedKeys(path, text);
  const columns = [...new Set(parsed.data.flatMap((row) => Object.keys(row)))];
  const rows = parsed.data.map((row, i) => ({
    where: `${path}, object ${i + 1}`,
    cells: Object.fromEntries(columns.map((column) => [column, String(row[column] ?? '')])),
  }));
  return { path, columns, rows };
}

/** `JSON.parse` keeps the last of two values without a word. The text is known to be a list of flat objects. */
function refuseRepeatedKeys(path: string, text: string): void {
  let object = 0;
  let keys = new Set<string>();
  for (const [token, colon] of text.matchAll(/\{|"(?:[^"\\]|\\.)*"\s*(:?)/g)) {
    if (token === '{') {
      object++;
      keys = new Set();
      continue;
    }
    if (colon === '') continue;
    const key = JSON.parse(token.slice(0, -1)) as string;
    if (keys.has(key))
      throw new UserError('input', {
        what: 'an object has the same key twice',
        where: `${path}, object ${object}`,
        got: key,
        expected: 'each key once',
      });
    keys.add(key);
  }
}
