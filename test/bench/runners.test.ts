import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { bench } from '../../src/bench/bench.js';
import { benchmark } from '../../src/bench/benchmark.js';
import { runPage } from '../../src/bench/engines/browser.js';
import { Runner } from '../../src/bench/runner.js';
import { startP2w } from '../commands/cli.js';
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

/** A runner of this package: what it does. */
const ours = (code: string) => ({
  name: 'ours',
  command: [
    ...[process.execPath, '--import', 'tsx', '--input-type=module', '-e'],
    `import { serveRounds } from '${ROOT}/src/bench/runner-loop.ts'; ${code}`,
  ],
});

/** The same in Python. */
const python = (code: string) => ({
  name: 'python',
  command: ['python3', '-c', `import sys; sys.path.insert(0, '${ROOT}/src/bench/baselines')\n${code}`],
});
const HAS_PYTHON = spawnSync('python3', ['--version']).status === 0;

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

test('a configuration that cannot warm up is left out, and the others are tried, unless something is missing for all', async () => {
  const folder = temporaryFolder();
  const fails = (answer: object) => runner(`say(${JSON.stringify(answer)}); process.exit(0);`, '', 'peer');
  const runs = runner(`require('node:fs').appendFileSync('${folder}/tried', 'x');`, ROUND, 'peer');
  const compare = (first: object, log = quiet as (line: string) => void) =>
    benchmark(runner('', ROUND), [[fails(first), runs]], 1, log);
  const said: string[] = [];
  const { rows } = await compare({ unavailable: 'no room' }, (line) => said.push(line));
  expect(rows.map(({ name }) => name)).toEqual(['own', 'peer']);
  expect(said[0]).toBe('peer: a configuration is left out, no room');
  const tried = readFileSync(join(folder, 'tried'), 'utf8');
  const { unavailable } = await compare({ unavailable: 'PyTorch: none', missing: true });
  expect(unavailable).toEqual([{ name: 'peer', unavailable: 'PyTorch: none', missing: true }]);
  expect(readFileSync(join(folder, 'tried'), 'utf8')).toBe(tried);
});

test('a runner of ours that fails says why, in its warm-up, before it or after it', async () => {
  const reasonOf = (spec: Parameters<typeof benchmark>[0]) =>
    benchmark(spec, [], 1, quiet).then(
      () => 'none',
      ({ facts }) => facts.got,
    );
  const failure = `throw new Error('no such thing');`;
  expect(await reasonOf(ours(`await serveRounds(async () => { ${failure} }, 'ours', 1);`))).toBe(
    'Error: no such thing',
  );
  expect(await reasonOf(ours(failure))).toBe('Error: no such thing');
  expect(await reasonOf(runner('', `say({ unavailable: 'no room' }); process.exit(0);`))).toBe('no room');
});

test.skipIf(!HAS_PYTHON)('a library that is missing in Python is missing in all configurations', async () => {
  const peer = python(`import runner; runner.library('no_such_library', 'Nothing')`);
  const { unavailable } = await benchmark(runner('', ROUND), [[peer, runner('', ROUND)]], 1, quiet);
  expect(unavailable).toEqual([
    { name: 'python', unavailable: expect.stringContaining('Nothing: '), missing: true },
  ]);
});

test.for([
  ['TypeScript', ours(`await serveRounds(async () => {}, 'ours', 1);`), true],
  ['Python', python(`import runner; runner.serve_rounds(lambda: None, 'python', 1)`), HAS_PYTHON],
] as const)(
  'the peak memory of a runner in %s is its own, not that of the process that starts it',
  async ([, spec, can], { skip }) => {
    skip(!can, 'there is no Python here');
    const held = new Float32Array(2 ** 27).fill(1);
    const { rows } = await benchmark(spec, [], 1, quiet);
    expect(rows[0]!.peakBytes).toBeLessThan(held.byteLength / 2);
    expect(rows[0]!.peakBytes).toBeGreaterThan(2 ** 22);
  },
);

test('a round repeats what is short, or is a single run', async () => {
  const folder = temporaryFolder();
  const runsOfRound = async (options: string) => {
    const path = join(folder, 'runs');
    writeFileSync(path, '');
    const started = new Runner(
      ours(`import { appendFileSync } from 'node:fs';
        const run = async () => appendFileSync('${path}', 'x');
        await serveRounds(run, 'ours', 1, ${options});`),
    );
    await started.ready();
    const before = readFileSync(path, 'utf8').length;
    await started.round();
    await started.stop();
    return readFileSync(path, 'utf8').length - before;
  };
  expect(await runsOfRound('{ single: true }')).toBe(1);
  expect(await runsOfRound('{}')).toBeGreaterThan(10);
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

test('a benchmark of scans that are not there leaves no files', async () => {
  const folder = temporaryFolder();
  vi.stubEnv('TMPDIR', folder);
  const options = { preset: 'tiny', batch: 1, rounds: 1, python: 'python3' } as const;
  const input = [join(folder, 'none')];
  await expect(bench({ ...options, workload: 'prepare', input }, quiet)).rejects.toThrow(/no such file/);
  vi.unstubAllEnvs();
  expect(readdirSync(folder)).toEqual([]);
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  'a benchmark that is ended by %s leaves no files',
  async (signal) => {
    const folder = temporaryFolder();
    vi.stubEnv('TMPDIR', folder);
    const line = [
      'bench',
      'encoder',
      '--baseline',
      'onnxruntime-plain',
      '--batch',
      '1',
      '--rounds',
      '100000',
    ];
    const { process: child, finished } = startP2w(line);
    vi.unstubAllEnvs();
    const names = () => readdirSync(folder).filter((name) => name.startsWith('p2w-bench-'));
    await vi.waitFor(() => expect(names()).toHaveLength(1), { timeout: 60_000, interval: 20 });
    child.kill(signal);
    expect((await finished).code).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(names()).toEqual([]);
  },
);

test('what a browser leaves in the folder for temporary files goes with its profile', async () => {
  const [folder, browser] = [temporaryFolder(), join(temporaryFolder(), 'browser')];
  vi.stubEnv('TMPDIR', folder);
  writeFileSync(browser, '#!/bin/sh\nmkdir "$TMPDIR/org.chromium.Chromium.1"\n');
  chmodSync(browser, 0o755);
  await expect(runPage(browser, '/x.js', { folders: {}, contents: {} }, 60)).rejects.toThrow(/has ended/);
  vi.unstubAllEnvs();
  expect(readdirSync(folder)).toEqual([]);
});
