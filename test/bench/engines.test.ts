import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runPage } from '../../src/bench/engines/browser.js';
import type { TrainingWorkload } from '../../src/bench/engines/curves.js';
import type { Runner } from '../../src/bench/engines/runners.js';
import { GENTLE, makeWorkload } from '../../src/bench/engines/workload.js';
import { compareRunners, formatEngines } from '../../src/bench/engines.js';
import { UserError } from '../../src/errors.js';
import { machineFacts } from '../../src/machine.js';
import { ROOT } from '../docs/document.js';
import { documented, expectAgreement } from './engines.js';

test('every engine of Node.js trains the same network to the same losses: the command of docs/runtimes.md', async () => {
  expect(readFileSync(join(ROOT, 'docs/runtimes.md'), 'utf8')).toContain(`\np2w ${documented}\n`);
  await expectAgreement(documented, 3, false);
});

test('all engines are told the same number of threads, by default one a core', () =>
  expect(makeWorkload(GENTLE, { batch: 1, steps: 1, threads: 0 }).threads).toBe(availableParallelism()));

test('a browser that is none has ended before it said anything', () =>
  expect(runPage(process.execPath, '/x.js', { folders: {}, contents: {} }, 60)).rejects.toThrow(
    /the browser has ended/,
  ));

const none = {} as TrainingWorkload;
const runner = (name: string, train: Runner['train']): Runner => ({ name, place: 'here', train });
const first = runner('first', async () => ({ losses: [3, 1], seconds: [9, 2] }));
const slower = runner('slower', async () => ({ losses: [3, 1.5], seconds: [9, 4] }));
const unavailable = runner('missing', async () => {
  throw new UserError('runtime', { what: 'it is not installed' });
});

test('an engine that is unavailable is said in the table, and the others are compared with the first', async () => {
  const said: string[] = [];
  const found = await compareRunners([first, unavailable, slower], none, (line) => said.push(line));
  expect(found.rows).toMatchObject([
    { losses: [3, 1], difference: 0, ratio: 1 },
    { losses: [3, 1.5], difference: 0.5, ratio: 2 },
  ]);
  const missing = 'missing in here is unavailable: it is not installed';
  expect(said).toContain(missing);
  const table = formatEngines({ settings: [], batch: 4, steps: 2, machine: machineFacts(), ...found });
  expect(table.split('\n')).toContain(missing);
  expect(table).toMatch(/first +here +1\.000000 +0\.0e\+0/);
});

test('without onnxruntime-node there is nothing to compare with, and a defect is not an engine that is missing', async () => {
  await expect(compareRunners([unavailable, first], none, () => {})).rejects.toThrow('it is not installed');
  const defect = runner('defect', () => Promise.reject(new TypeError('a defect')));
  await expect(compareRunners([first, defect], none, () => {})).rejects.toThrow('a defect');
});
