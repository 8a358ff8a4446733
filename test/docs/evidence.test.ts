import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readExperiment } from '../../src/experiments/schema.js';
import { readTable } from '../../src/tables/read.js';
import { ROOT, testDocument } from './document.js';
import { PAGES, written } from './evidence/pages.js';

testDocument('docs/evidence.md', 0);
testDocument('docs/evidence/details.md', 0);
testDocument('docs/evidence/protocol.md', 0);

const pages = PAGES.map((page) => ({ ...page, text: readFileSync(page.file, 'utf8') }));

test.each(
  pages.flatMap(({ tables, text }) =>
    Object.entries(tables).map(([name, make]) => [name, make, written(text, name)] as const),
  ),
)('the table "%s" is that of the raw results', (_name, make, table) => {
  expect(table).toBe(make());
});

test('the figures are those of the raw results', () => {
  for (const { figure, draw } of PAGES) expect(readFileSync(figure, 'utf8')).toBe(draw());
});

test('every score in the text stands in a table', () => {
  const inTables = pages
    .flatMap(({ tables, text }) => Object.keys(tables).map((name) => written(text, name)))
    .join('\n');
  for (const { text } of pages) {
    const scores = text.replaceAll(/^\|.*$/gm, '').match(/[+−]?0\.\d{2,}/g) ?? [];
    expect(scores.length).toBeGreaterThan(0);
    for (const score of scores) expect(inTables).toContain(score);
  }
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
  'rate',
  'first-six-probes',
  'first-six-fine-tuning',
  'in-domain',
  'adrenal',
  'adrenal-again',
  'segmentation-in-domain',
  'segmentation-width',
  'labels-probes',
  'labels-rate',
  'labels-fine-tuning',
  'steps-in-domain',
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

test.each(['fig3', 'fig3-again'])('26 checkpoints are probed alike: %s', (name) => {
  const { targets } = readExperiment(join(ROOT, 'docs/evidence/fig3.json'));
  const { rows } = readTable(join(ROOT, `docs/evidence/${name}.csv`));
  const found = rows.map(({ cells: { target, step, seed } }) => `${target} ${step} ${seed}`);
  const expected = targets.flatMap(({ name, trials }) =>
    Array.from({ length: 26 * trials! }, (_, i) => `${name} ${100 * (i % 26)} ${1 + Math.floor(i / 26)}`),
  );
  expect(found.sort()).toEqual(expected.sort());
});
