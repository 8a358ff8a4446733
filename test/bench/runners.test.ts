import { readdirSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { bench } from '../../src/bench/bench.js';
import { benchmark } from '../../src/bench/benchmark.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const quiet = () => {};

/** A runner in JavaScript: what it does when it begins, and for every round. */
const runner = (begin: string, round: string, name = 'own') => ({
  name,
  command: [
    process.execPath,
    '-e',
    `const say = (answer) => console.log(JSON.stringify(answer));
    ${begin}
    say({ ready: true, detail: '${name}', threads: 1 });
    require('node:readline').createInterface({ input: process.stdin }).on('line', () => { ${round} });`,
  ],
});
const ROUND = 'say({ seconds: 1, peakBytes: 1e6 });';

test('lines of libraries between the answers, in braces too, are passed over', async () => {
  const chatty = `console.log("{'threads': 2}"); console.log('{"seconds": "unknown"}'); console.log('null');`;
  const { rows } = await benchmark(runner(chatty, chatty + ROUND), [], 2, quiet);
  expect(rows).toMatchObject([{ detail: 'own', seconds: { median: 1 } }]);
});

test('a configuration that fails in its trial is left out, and the others are tried', async () => {
  const fails = runner('', "console.error('out of memory'); process.exit(1);", 'first');
  const runs = runner('', ROUND, 'second');
  const said: string[] = [];
  const own = runner('', ROUND);
  const { rows } = await benchmark(own, [[fails, runs]], 1, (line) => said.push(line));
  expect(rows.map(({ name }) => name)).toEqual(['own', 'second']);
  expect(said[0]).toBe('first, 1 threads: left out, out of memory');
  const { unavailable } = await benchmark(own, [[fails, fails]], 1, quiet);
  expect(unavailable).toEqual([{ name: 'first', unavailable: 'first, 1 threads: out of memory' }]);
});

test('a baseline that there is not is refused with those that there are, before anything is made', async () => {
  const folder = temporaryFolder();
  vi.stubEnv('TMPDIR', folder);
  const options = { preset: 'tiny', batch: 1, rounds: 1, python: 'python3' } as const;
  await expect(bench({ ...options, workload: 'prepare', baselines: ['torch'] }, quiet)).rejects.toThrow(
    /^--baseline: `bench prepare` has no such baseline\n {2}got: +torch\n {2}expected: nibabel, simpleitk$/,
  );
  vi.unstubAllEnvs();
  expect(readdirSync(folder)).toEqual([]);
});
