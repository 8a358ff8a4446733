/** What is not said is the same for the functions of the library as for the commands. */
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { prepare } from '../../src/commands/prepare.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { prepareUnlabelled } from '../../src/commands/prepare-unlabelled.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { writeBalls } from '../data/samples/labelled-data.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { lastJson } from './cli.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const size: XYZ = [16, 16, 8];
const samples = { task: 'manifest', input: at('balls'), out: at('samples'), size } as const;

/** The hash of the store that the command makes of the same. */
const hashOf = async (...args: readonly string[]) => {
  const done = await p2wHere(['prepare', '--size', '16x16x8', '--json', ...args]);
  expect(done.code, done.stderr).toBe(0);
  return lastJson(done).hash;
};

beforeAll(() => writeBalls(at('balls'), { patients: 20, each: 1, size }));

test('prepareSamples', async () => {
  const { hash, splits } = await prepareSamples(samples);
  const counts = Object.values(splits).map(({ patients }) => patients);
  expect(counts).toEqual([11, 4, 5]);
  expect(await hashOf('--task', 'manifest', '--input', samples.input, '--out', at('samples-2'))).toBe(hash);
});

test('prepareUnlabelled', async () => {
  await prepareSamples(samples);
  const { hash } = await prepareUnlabelled({ input: samples.out, out: at('own') });
  expect(await hashOf('--input', samples.out, '--out', at('own-2'))).toBe(hash);
});

test('prepare', async () => {
  const input = join(samples.input, 'images');
  const { hash } = await prepare({ input: [input], out: at('tiles'), size });
  expect(await hashOf('--input', input, '--out', at('tiles-2'))).toBe(hash);
});
