import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { taskOption } from '../../bin/options.js';
import { TASK_ALIASES } from '../../src/data/adapters/aliases.js';
import { TASK_NAMES } from '../../src/data/adapters/index.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { lastJson } from './cli.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

test('tasks have the names of their data sets, too, in help and guide', () => {
  const { coerce, describe } = taskOption(TASK_NAMES, 'a task');
  const guide = readFileSync(join(import.meta.dirname, '../../docs/target-tasks.md'), 'utf8');
  expect([...TASK_ALIASES.keys()]).toEqual(['luna16', 'lidc', 'lits', 'ctpa', 'brats']);
  for (const [alias, name] of TASK_ALIASES) {
    expect([coerce(alias), coerce(name)]).toEqual([name, name]);
    expect(describe).toContain(`${alias} is ${name}`);
    expect(guide).toContain(`| \`${name}\` or \`${alias}\` |`);
  }
});

test('a task by the name of its data set is that task, in stores and results', async () => {
  const luna16 = ['--task', 'luna16', '--json'];
  const size = ['--size', '32x32x24'];
  const phantoms = await p2wHere([
    'phantom',
    ...luna16,
    '--out',
    at('luna16-phantom'),
    '--scans',
    '10',
    ...size,
  ]);
  expect(lastJson(phantoms)).toMatchObject({ task: 'ncc' });
  const input = ['--input', at('luna16-phantom'), '--out', at('samples'), '--size', '8x8x8'];
  expect(lastJson(await p2wHere(['prepare', ...luna16, ...input]))).toMatchObject({ task: 'ncc' });
  expect(JSON.parse(readFileSync(at('samples/manifest.json'), 'utf8'))).toMatchObject({ task: 'ncc' });
});

test.each(['luna', 'constructor'])('%s is no task', async (task) => {
  const { code, stderr } = await p2wHere(['phantom', '--task', task, '--out', at('none'), '--scans', '1']);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/task[\s\S]*ncc/)]);
});
