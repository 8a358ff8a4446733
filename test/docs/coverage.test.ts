import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from './document.js';

test('every document is tested, once', () => {
  const tested = readdirSync(import.meta.dirname)
    .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
    .flatMap((text) => text.match(/(?<=^testDocument\(')[^']+/gm) ?? []);
  const written = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  expect(tested.sort()).toEqual(['README.md', ...written.map((name) => `docs/${name}`)].sort());
});
