import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, testDocument } from './document.js';

testDocument('docs/federated.md', 21);

test('each round has a seed of its own: the same one would bring the same samples again', () => {
  const text = readFileSync(join(ROOT, 'docs/federated.md'), 'utf8');
  const rounds = [...text.matchAll(/^p2w pretrain .*--out \w+\/(\d+)$/gm)].map(([line, round]) => ({
    line,
    round,
  }));
  const later = rounds.filter(({ line }) => line.includes('--init'));
  expect([rounds.length, later.length]).toEqual([6, 3]);
  for (const { line, round } of later) expect(line).toContain(`--seed ${round} `);
});
