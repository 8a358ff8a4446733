import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readExperiment } from '../../src/experiments/schema.js';
import { readTable } from '../../src/tables/read.js';
import { ROOT, testDocument } from './document.js';
import { document, FIGURE, figure, tables, written } from './evidence-tables.js';

testDocument('docs/evidence.md', 0);

test.each(Object.entries(tables))('the table "%s" is that of the raw results', (name, make) => {
  expect(written(name)).toBe(make());
});

test('the figure is that of the raw results', () => {
  expect(readFileSync(FIGURE, 'utf8')).toBe(figure());
});

test('every score in the text stands in a table', () => {
  const text = document();
  const inTables = Object.keys(tables).map(written).join('\n');
  const prose = text.replaceAll(/^\|.*$/gm, '');
  const scores = prose.match(/[+−]?0\.\d{2,}/g) ?? [];
  expect(scores.length).toBeGreaterThan(0);
  for (const score of scores) expect(inTables).toContain(score);
});

test.each([
  'malignancy',
  'spiculation',
  'probes',
  'steps',
  'scans',
  'seeds',
  'seeds-again',
  'pool-seeds',
  'in-domain',
  'adrenal',
  'adrenal-again',
  'segmentation-in-domain',
])('the raw results of %s are those of its experiment', (name) => {
  const experiment = name.replace('-again', '');
  const { sources, targets } = readExperiment(join(ROOT, `docs/evidence/${experiment}.json`));
  const { rows } = readTable(join(ROOT, `docs/evidence/${name}.csv`));
  const found = rows.map(({ cells }) =>
    ['target', 'patients', 'source', 'seed', 'metric'].map((column) => cells[column]),
  );
  const expected = targets.flatMap(({ name: target, patients, trials, metric }) =>
    patients.flatMap((count) =>
      sources!.flatMap((source) =>
        Array.from({ length: trials! }, (_, i) => [target, `${count}`, source.name, `${i + 1}`, metric]),
      ),
    ),
  );
  expect(found.sort()).toEqual(expected.sort());
});

test('26 checkpoints are probed alike', () => {
  const { targets } = readExperiment(join(ROOT, 'docs/evidence/fig3.json'));
  const { rows } = readTable(join(ROOT, 'docs/evidence/fig3.csv'));
  const found = rows.map(({ cells: { target, step, seed } }) => `${target} ${step} ${seed}`);
  const expected = targets.flatMap(({ name, trials }) =>
    Array.from({ length: 26 * trials! }, (_, i) => `${name} ${100 * (i % 26)} ${1 + Math.floor(i / 26)}`),
  );
  expect(found.sort()).toEqual(expected.sort());
});

test('the protocol’s links lead somewhere', () => {
  const text = readFileSync(join(ROOT, 'docs/evidence/protocol.md'), 'utf8');
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link]) => link!);
  for (const link of links) expect(existsSync(join(ROOT, 'docs/evidence', link)), link).toBe(true);
});
