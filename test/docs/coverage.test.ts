import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from './document.js';

test('every document is tested, once', () => {
  const tested = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
    .flatMap((text) => text.match(/(?<=^testDocument\(')[^']+/gm) ?? []);
  const written = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.md') && !name.startsWith('api'),
  );
  expect(tested.sort()).toEqual(['README.md', ...written.map((name) => `docs/${name}`)].sort());
});
