import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.test.ts'),
);

test('no test ends early and passes: one that cannot run here is skipped, and says why', () => {
  const early = files.flatMap((name) =>
    readFileSync(join(import.meta.dirname, name), 'utf8')
      .split('\n')
      .flatMap((line, i) => (/^\s+if \(.*\) return;$/.test(line) ? [`${name}:${i + 1}`] : [])),
  );
  expect(files.length).toBeGreaterThan(80);
  expect(early).toEqual([]);
});
