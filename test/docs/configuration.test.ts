import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveFinetuneConfig } from '../../src/config/finetuning.js';
import { resolveConfig } from '../../src/config/pretraining.js';
import { TRAINING_DEFAULTS } from '../../src/config/training.js';
import { ROOT, testDocument } from './document.js';

testDocument('docs/configuration.md', 1);

/** Keys and what they are, those of groups with a dot. */
const leavesOf = (value: unknown, path = ''): [key: string, value: unknown][] =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
    ? Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, path === '' ? key : `${path}.${key}`))
    : [[path, value]];

/** The defaults that each of the three tables tells. */
const tables = readFileSync(join(ROOT, 'docs/configuration.md'), 'utf8')
  .split('\n## ')
  .slice(1)
  .map(
    (part) => new Map([...part.matchAll(/^\| `(\S+)` \| (.+?) \|/gm)].map(([, key, told]) => [key!, told!])),
  );

const pretraining = new Map([
  ...leavesOf(resolveConfig({ preset: 'genesis' })),
  ...leavesOf(resolveConfig({ preset: 'genesis-sgd' })),
  ...leavesOf({ optimizer: TRAINING_DEFAULTS.optimizer, learningRate: TRAINING_DEFAULTS.learningRate }),
]);
const finetuning = new Map(leavesOf(resolveFinetuneConfig({ kind: 'classification' })));

test('all keys of both trainings are there, each in its table', () => {
  const [both, first, second] = tables.map((table) => [...table.keys()].sort()) as [
    string[],
    string[],
    string[],
  ];
  const ofBoth = [...finetuning.keys()].filter((key) => pretraining.has(key));
  expect(both).toEqual([...ofBoth, 'optimizer.momentum'].sort());
  expect(first).toEqual([...pretraining.keys()].filter((key) => !both.includes(key)).sort());
  expect(second).toEqual([...finetuning.keys()].filter((key) => !both.includes(key)).sort());
});

test('defaults are those of the code', () => {
  for (const [i, config] of [pretraining, pretraining, finetuning].entries())
    for (const [key, told] of tables[i]!)
      if (!told.startsWith('by ')) expect(JSON.parse(told), key).toEqual(config.get(key));
});
