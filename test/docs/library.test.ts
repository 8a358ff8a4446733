import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as library from '../../src/index.js';
import { ROOT, testDocument } from './document.js';

testDocument('docs/library.md', 0);

const rows = [
  ...readFileSync(join(ROOT, 'docs/library.md'), 'utf8').matchAll(/^\| (.+?) \| (.*`.*) \|$/gm),
].map(([, first, functions]) => ({ first: first!, names: functions!.match(/`(\w+)`/g)! }));

test('every command but bench has its functions, and every function of the library is in a table', () => {
  const commands = readdirSync(join(ROOT, 'bin/commands'))
    .map((name) => name.replace('.ts', '').replace('make-', ''))
    .filter((name) => name !== 'bench');
  const told = rows.flatMap(({ first }) => /^`([a-z]+)`$/.exec(first)?.[1] ?? []);
  expect(told.sort()).toEqual([...new Set(commands)].sort());
  // That of `serve` is exported elsewhere.
  const names = rows.flatMap((row) => row.names.map((name) => name.slice(1, -1)));
  expect([...new Set(names)].sort()).toEqual(['serve', ...Object.keys(library)].sort());
});
