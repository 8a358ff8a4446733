import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { randomStream, resolveConfig, samplePart } from '../src/index.js';

const ROOT = resolve(import.meta.dirname, '..');
const read = (path: string) => readFileSync(path, 'utf8');
/** Types that come with the language. */
const BUILT_IN = new Set(
  'Array ArrayLike ArrayBuffer Blob File Float32Array Float64Array Generator Int16Array Iterable Map Omit Partial Pick Promise Readonly ReadonlyMap Record Uint32Array Uint8Array'.split(
    ' ',
  ),
);

/** What an index exports: names, and the functions among them with their files. */
function exportsOf(index: string) {
  const lists = [...read(index).matchAll(/export (type )?\{([^}]*)\} from '([^']+)'/g)];
  const entries = lists.flatMap(([, type, list, from]) =>
    list!
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .map((name) => ({
        name: name.replace('type ', ''),
        isValue: !type && !name.startsWith('type '),
        file: resolve(dirname(index), from!.replace(/\.js$/, '.ts')),
      })),
  );
  return {
    names: new Set(entries.map(({ name }) => name)),
    values: entries.filter(({ isValue }) => isValue),
  };
}

/** A function's docstring and signature, wherever its file has them from. */
function declarationOf(name: string, file: string): { doc: string; signature: string } | null {
  const text = read(file);
  const found = text.match(
    new RegExp(
      `(/\\*\\*(?:(?!\\*/)[^])*\\*/\\n)?export (?:async )?function\\*? ${name}\\b[^]*?\\n?\\): ([^]*?) \\{\\n`,
    ),
  );
  if (found) return { doc: found[1] ?? '', signature: found[0].slice((found[1] ?? '').length) };
  const from = text.match(new RegExp(`export \\{[^}]*\\b${name}\\b[^}]*\\} from '([^']+)'`))?.[1];
  return from ? declarationOf(name, resolve(dirname(file), from.replace(/\.js$/, '.ts'))) : null;
}

describe.each([
  ['src/index.ts', 55],
  ['src/serve/index.ts', 0],
  ['src/browser/index.ts', 2],
])('%s', (index, least) => {
  const { names, values } = exportsOf(join(ROOT, index));
  const functions = values.flatMap(({ name, file }) => {
    const declaration = declarationOf(name, file);
    return declaration ? [{ name, ...declaration }] : [];
  });

  test('exports functions', () => {
    expect(functions.length).toBeGreaterThan(least);
  });

  test('shows an example of each', () => {
    expect(functions.filter(({ doc }) => !doc.includes('@example')).map(({ name }) => name)).toEqual([]);
  });

  test('exports the types of all options and results', () => {
    const missing = functions.flatMap(({ name, signature }) =>
      [...new Set(signature.match(/\b[A-Z][A-Za-z]*[a-z][A-Za-z0-9]*\b/g) ?? [])]
        .filter((type) => !BUILT_IN.has(type) && !names.has(type))
        .map((type) => `${type} of ${name}`),
    );
    expect(missing).toEqual([]);
  });
});

test('a part can be drawn with what is exported', () => {
  const { part } = resolveConfig({});
  const draw = (tile: number) => samplePart(randomStream(1, 'part', tile), [128, 128, 64], part);
  expect(draw(7)).toEqual(draw(7));
  expect(draw(8)).not.toEqual(draw(7));
});
