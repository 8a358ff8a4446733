import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { bench } from '../../src/bench/bench.js';
import { benchmark } from '../../src/bench/benchmark.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const ROOT = join(import.meta.dirname, '../..');
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

/** Whether a process still runs; one that has ended may wait to be asked for its exit code. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const status = `/proc/${pid}/status`;
  return !existsSync(status) || !/^State:\s+Z/m.test(readFileSync(status, 'utf8'));
}

/** Starts a program in TypeScript, and kills it as soon as all these files hold something: the numbers of processes. */
async function killOnceWritten(code: string, files: readonly string[]): Promise<number[]> {
  const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const written = (path: string) => (existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0);
  // At once: what is not watched yet when it starts would be left.
  await vi.waitFor(() => expect(files.map(written)).not.toContain(0), { timeout: 20_000, interval: 1 });
  parent.kill('SIGKILL');
  await once(parent, 'close');
  return files.map(written);
}

async function expectEnd(pid: number): Promise<void> {
  try {
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), 5000);
  } finally {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  }
}

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
  expect(said[0]).toBe('first, 1 thread: left out, out of memory');
  const { unavailable } = await benchmark(own, [[fails, fails]], 1, quiet);
  expect(unavailable).toEqual([{ name: 'first', unavailable: 'first, 1 thread: out of memory' }]);
});

test.each([
  ['its own environment', { kept: 1, asItIs: 3 }, 1],
  ['the one that there is', { kept: 3, asItIs: 1 }, 1],
])('a configuration is taken in %s where that is faster', async (_, { kept, asItIs }, fastest) => {
  const round = `say({ seconds: process.env.P2W_KEPT ? ${kept} : ${asItIs}, peakBytes: 1e6 });`;
  const peer = { ...runner('', round, 'peer'), environment: { P2W_KEPT: '1' } };
  const slow = runner('', 'say({ seconds: 9, peakBytes: 1e6 });', 'peer');
  const said: string[] = [];
  const { rows } = await benchmark(runner('', ROUND), [[slow, peer]], 1, (line) => said.push(line));
  expect(rows[1]!.seconds.median).toBe(fastest);
  expect(said.slice(0, 3).map((line) => line.replace(/.*: /, ''))).toEqual([
    '9.00 s',
    `${kept.toFixed(2)} s`,
    `${asItIs.toFixed(2)} s`,
  ]);
});

test('a configuration whose first round is clearly slower than the fastest gets no second one in its trial', async () => {
  const folder = temporaryFolder();
  const baseline = (name: string, seconds: number) =>
    runner(
      '',
      `require('node:fs').appendFileSync(${JSON.stringify(join(folder, name))}, 'x');
      say({ seconds: ${seconds}, peakBytes: 1e6 });`,
      name,
    );
  const configurations = [baseline('fast', 1), baseline('slow', 1.6), baseline('near', 1.4)];
  const { rows } = await benchmark(runner('', ROUND), [configurations], 1, quiet);
  expect(rows[1]?.name).toBe('fast');
  const roundsOf = (name: string) => readFileSync(join(folder, name), 'utf8').length;
  expect([roundsOf('fast'), roundsOf('slow'), roundsOf('near')]).toEqual([3, 1, 2]);
});

test('runners of a killed benchmark end, one that is paused too', async () => {
  const folder = temporaryFolder();
  const [paused, busy] = [join(folder, 'paused'), join(folder, 'busy')];
  const note = (path: string) =>
    `require('node:fs').writeFileSync(${JSON.stringify(path)}, String(process.pid));`;
  const own = runner(note(paused), ROUND);
  const baseline = runner('', `${note(busy)} for (;;);`, 'baseline');
  const code = `
    import { benchmark } from '${ROOT}/src/bench/benchmark.ts';
    await benchmark(${JSON.stringify(own)}, [[${JSON.stringify(baseline)}]], 1, () => {});
  `;
  for (const pid of await killOnceWritten(code, [paused, busy])) await expectEnd(pid);
});

test('a browser of a killed benchmark ends', async () => {
  const folder = temporaryFolder();
  const [browser, written] = [join(folder, 'browser'), join(folder, 'pid')];
  writeFileSync(browser, `#!/bin/sh\necho $$ > '${written}'\nexec sleep 1000\n`);
  chmodSync(browser, 0o755);
  const code = `
    import { runPage } from '${ROOT}/src/bench/engines/browser.ts';
    await runPage('${browser}', '/none.js', { folders: {}, contents: {} }, 1000);
  `;
  for (const pid of await killOnceWritten(code, [written])) await expectEnd(pid);
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
