import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { summarize } from '../graphs/onnx/summary.js';
import { benchmark } from '../src/bench/benchmark.js';
import type { FormsBench } from '../src/bench/forms.js';
import { stepCost } from '../src/bench/limit/costs.js';
import { growthExponent } from '../src/bench/limit/growth.js';
import type { LimitResult } from '../src/bench/limit.js';
import { spreadOf } from '../src/bench/spread.js';
import { writePhantoms } from '../src/commands/phantom.js';
import { resolveConfig } from '../src/config/pretraining.js';
import { writeNifti } from '../src/data/scan/nifti.js';
import { buildGraph } from '../src/execution/models.js';
import { mostThreads } from '../src/machine.js';
import { proxyWorkload } from '../src/train/proxy.js';
import { lastJson, p2w } from './commands/cli.js';
import { p2wHere } from './commands/here.js';
import { ctSeries, writeFiles } from './data/scan/dicom/writer.js';
import { noiseVolume, temporaryFolder } from './data/store/tiles-sample.js';

/** A runner that is introduced as `detail` and says that every round took `seconds`, or ends after `rounds`. */
const fake = (name: string, detail: string, seconds: number, rounds = 1_000) => ({
  name,
  command: [
    process.execPath,
    '-e',
    `let left = ${rounds};
    console.log('a line that a library printed');
    console.log(JSON.stringify({ ready: true, detail: '${detail}', threads: 2 }));
    require('node:readline').createInterface({ input: process.stdin }).on('line', () => {
      if (left-- === 0) { console.error('out of memory'); process.exit(1); }
      console.log(JSON.stringify({ seconds: ${seconds} * (1 + left % 2), peakBytes: 1e6 }));
    });`,
  ],
});
const quiet = () => {};
/** As many threads as there may be. */
const MOST: string = `${mostThreads()}`;

describe('a benchmark', () => {
  test('is run in turns, and compared round by round', async () => {
    const said: string[] = [];
    const { rows, ratios, unavailable } = await benchmark(
      fake('own', 'a', 1),
      [[fake('baseline', 'b', 3)]],
      3,
      (line) => said.push(line),
    );
    expect(said).toEqual([1, 2, 3].map((round) => expect.stringContaining(`round ${round} of 3: own `)));
    expect(rows.map(({ name, threads, peakBytes }) => ({ name, threads, peakBytes }))).toEqual([
      { name: 'own', threads: 2, peakBytes: 1e6 },
      { name: 'baseline', threads: 2, peakBytes: 1e6 },
    ]);
    expect(rows[0]!.seconds).toEqual({ median: 2, min: 1, max: 2 });
    // Rounds take once and twice as long in turns, for both alike: the ratio of a round is always 3.
    expect(ratios).toEqual([{ baseline: 'baseline', median: 3, min: 3, max: 3 }]);
    expect(unavailable).toEqual([]);
  });

  test('takes a baseline in its fastest configuration, and leaves out those that do not run', async () => {
    const broken = { name: 'baseline', command: [process.execPath, '-e', 'process.exit(1)'] };
    const configurations = [
      fake('baseline', 'slow', 5),
      broken,
      fake('baseline', 'fast', 2),
      fake('baseline', 'slower', 9),
    ];
    const { rows } = await benchmark(fake('own', 'a', 1), [configurations], 1, quiet);
    expect(rows.map((row) => row.detail)).toEqual(['a', 'fast']);
  });

  test('says why a baseline is unavailable', async () => {
    const missing = { name: 'baseline', command: ['/no/such/interpreter'] };
    const { unavailable } = await benchmark(fake('own', 'a', 1), [[missing]], 1, quiet);
    expect(unavailable).toEqual([
      { name: 'baseline', unavailable: expect.stringContaining('/no/such/interpreter'), missing: true },
    ]);
  });

  test('ends when a runner does, and says which', async () => {
    await expect(benchmark(fake('own', 'a', 1, 2), [], 3, quiet)).rejects.toThrow(
      /^own: a runner ended before its last round[\s\S]*out of memory/,
    );
  });
});

test('the spread of an even number of rounds has its median between the middle two', () => {
  expect(spreadOf([4, 1, 2, 10])).toEqual({ median: 3, min: 1, max: 10 });
});

test('p2w bench step compares with plain ONNX Runtime, and says what is unavailable', async () => {
  const out = join(temporaryFolder(), 'bench.svg');
  const done = await p2w([
    ...['bench', 'step', '--preset', 'tiny', '--batch', '1', '--rounds', '2', '--out', out, '--json'],
    ...['--python', '/no/such/python'],
  ]);
  expect(done.code, done.stderr).toBe(0);
  const { rows, ratios, unavailable, machine } = lastJson(done);
  expect(rows.map((row: { name: string }) => row.name)).toEqual(['parts2whole', 'onnxruntime-plain']);
  for (const row of rows) {
    expect(row.seconds.min).toBeGreaterThan(0);
    expect(row.seconds.median).toBeLessThanOrEqual(row.seconds.max);
    expect(row.peakBytes).toBeGreaterThan(5e7);
  }
  expect(ratios).toMatchObject([{ baseline: 'onnxruntime-plain' }]);
  expect(unavailable).toMatchObject([{ name: 'torch' }, { name: 'monai' }]);
  expect(machine.cpu).not.toBe('');
  expect(existsSync(out) && readFileSync(out, 'utf8')).toMatch(/^<svg [\s\S]*parts2whole[\s\S]*<\/svg>\n$/);
});

test.each([
  ['step', ['--task', 'segmentation', '--batch', '1', '--baseline', 'torch'], ['parts2whole'], ['torch']],
  ['step', ['--proxy', 'genesis', '--batch', '1', '--baseline', 'torch'], ['parts2whole'], ['torch']],
  ['encoder', ['--baseline', 'onnxruntime-plain', '--batch', '2'], ['parts2whole', 'onnxruntime-plain'], []],
  ['data', ['--preset', 'tiny'], ['parts2whole'], ['torch', 'monai', 'scipy']],
  ['prepare', ['--input', 'scans', '--threads', MOST], ['parts2whole'], ['nibabel', 'simpleitk']],
  ['segment', ['--batch', '1', '--input', 'scan.nii'], ['parts2whole'], ['monai', 'openvino']],
  ['dicom', ['--input', 'series'], ['parts2whole'], ['simpleitk']],
])(
  'p2w bench %s times our runner, and says which baselines are unavailable',
  async (workload, args, there, missing) => {
    const folder = temporaryFolder();
    if (workload === 'prepare')
      await writePhantoms({ out: folder, scans: 1, size: [128, 128, 64], seed: 1, format: 'mhd' });
    if (workload === 'segment') await writeNifti(join(folder, 'scan.nii'), noiseVolume([40, 32, 16], 1));
    if (workload === 'dicom') writeFiles(join(folder, 'series'), ctSeries(5));
    const common = ['--rounds', '1', '--json', '--python', '/no/such/python'];
    const done = await p2w(['bench', workload, ...args, ...common], folder);
    expect(done.code, done.stderr).toBe(0);
    const { rows, unavailable } = lastJson(done);
    expect(rows.map(({ name }: { name: string }) => name)).toEqual(there);
    expect(unavailable.map(({ name }: { name: string }) => name)).toEqual(missing);
    for (const row of rows) {
      expect(row.seconds.min).toBeGreaterThan(0);
      // Only Models Genesis has its images corrupted meanwhile.
      if (args.includes('genesis')) expect(row.dataWait).toBeLessThan(1);
      else expect(row.dataWait).toBeUndefined();
    }
  },
);

test.each([
  ['encoder', '--set network.width=4', 'step, engines'],
  ['data', '--task segmentation', 'step'],
  ['forms', '--growth true', 'limit'],
  ['encoder', '--input scans', 'prepare, segment, dicom'],
  ['forms', '--baseline torch', 'step, encoder, data, prepare, segment, dicom'],
  ['engines', '--out chart.svg', 'step, encoder, data, prepare, segment, dicom, runtimes'],
  ['data', '--steps 3', 'engines'],
  ['engines', '--model x.onnx', 'runtimes'],
  ['data', '--threads 5', 'step, encoder, prepare, segment, forms, limit, engines, runtimes'],
  ['data', '--batch 9', 'step, encoder, segment, forms, limit, engines, runtimes'],
  ['dicom', '--threads 0', 'step, encoder, prepare, segment, forms, limit, engines, runtimes'],
  ['prepare', '--preset paper', 'step, encoder, data, segment, forms, limit, engines, runtimes'],
  ['limit', '--python python3', 'step, encoder, data, prepare, segment, dicom'],
  ['engines', '--rounds 3', 'step, encoder, data, prepare, segment, dicom, forms, limit, runtimes'],
])('p2w bench %s refuses %s, which it would not heed', async (workload, option, others) => {
  const { code, stderr } = await p2wHere(['bench', workload, ...option.split(' ')]);
  expect(code).toBe(2);
  const [name, value] = option.split(' ');
  expect(stderr).toBe(
    `p2w: ${name}: this is an option of bench ${others} only\n  got:      ${value} for ${workload}\n`,
  );
});

test('p2w bench dicom needs series to read, and segment one scan', async () => {
  const bare = await p2wHere(['bench', 'dicom']);
  expect(bare.code).toBe(2);
  expect(bare.stderr).toContain('--input: there are no DICOM series to read');
  const two = await p2wHere(['bench', 'segment', '--input', 'a.nii', 'b.nii']);
  expect(two.code).toBe(2);
  expect(two.stderr).toContain('--input: one scan is segmented');
});

test('p2w bench step refuses settings that PyTorch would not heed', async () => {
  const { code, stderr } = await p2wHere(['bench', 'step', '--set', 'contrastive.weight=1']);
  expect(code).toBe(2);
  expect(stderr).toContain('--set: the baselines of `bench step` do not know this setting');
});

test('p2w bench refuses rounds that make no sense', async () => {
  const { code, stderr } = await p2wHere(['bench', 'step', '--rounds', '0']);
  expect(code).toBe(2);
  expect(stderr).toContain('--rounds: this must be an integer of at least 1');
});

test('p2w bench limit holds a step and an encoder against the machine', async () => {
  const done = await p2w(['bench', 'limit', '--preset', 'tiny', '--batch', '1', '--rounds', '1', '--json']);
  expect(done.code, done.stderr).toBe(0);
  const { peaks, rows } = lastJson(done) as LimitResult;
  expect(rows.map(({ name }) => name)).toEqual(['step, tiny', 'encoder, tiny']);
  for (const { flops, bytes, seconds, reached } of rows) {
    const floor = Math.max(flops / peaks.flopsPerSecond, bytes / peaks.bytesPerSecond);
    expect(reached).toBeCloseTo(floor / seconds.median, 9);
    expect(reached).toBeGreaterThan(0);
  }
});

test('an exponent of growth is the slope of logarithms', () => {
  expect(growthExponent([1, 2, 4, 8].map((x) => [x, 5 * x ** 1.5]))).toBeCloseTo(1.5, 9);
  expect(growthExponent([[1, 2]])).toBeNull();
});

test('Winograd and up-sampling by parts leave fewer operations than there are as written', async () => {
  const config = resolveConfig({ preset: 'tiny', config: { batch: 1, microBatch: 1, forms: 'fast' } });
  const { graph } = buildGraph('step', proxyWorkload(config, config.whole), config);
  const { flops } = await stepCost(config);
  expect(flops).toBeLessThan(0.8 * summarize(graph).flops);
  // All products are counted: the gradients of input and weights are the least that is left.
  expect(flops).toBeGreaterThan(0.3 * summarize(graph).flops);
});

test('p2w bench forms times every form, and compares it with the plain one', async () => {
  const done = await p2w(['bench', 'forms', '--preset', 'tiny', '--batch', '1', '--rounds', '1', '--json']);
  expect(done.code, done.stderr).toBe(0);
  const { rows, ratios } = lastJson(done) as FormsBench;
  const plain = rows.filter(({ form, pattern }) => form === 'plain' && !pattern.startsWith('layout '));
  expect(plain.length).toBeGreaterThan(10);
  expect(ratios.length).toBeGreaterThanOrEqual(plain.length);
  for (const { pattern, form, median } of ratios) {
    const secondsOf = (name: string) =>
      rows.find((row) => row.pattern === pattern && row.form === name)!.seconds.median;
    expect(median).toBeCloseTo(secondsOf('plain') / secondsOf(form), 9);
  }
});
