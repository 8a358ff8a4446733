import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type FinetuneOptions, finetune } from '../../src/commands/finetune.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { type PretrainOptions, pretrain } from '../../src/commands/pretrain.js';
import { fromSettings } from '../../src/config/settings.js';
import type { Ranks } from '../../src/distributed/ranks.js';
import { type Reporter, silent } from '../../src/progress.js';
import { checkpointPath, loadCheckpoint } from '../../src/runs/checkpoint.js';
import { readMetrics } from '../../src/runs/metrics.js';
import { readRun } from '../../src/runs/run.js';
import { BALL_COLUMNS, writeBalls } from '../data/samples/labelled-data.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { ranksHere } from '../train/ranks-here.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const [data, samples] = [join(folder, 'tiles'), join(folder, 'samples')];
const path = (name: string) => join(folder, name);
// Adam's first steps take the sign of each gradient, and that of the smallest ones is chance.
const SETTINGS = [
  ...['optimizer.name=sgd', 'learningRate=0.01'],
  ...['workers=0', 'whole=16x8x8', 'network.levels=1', 'network.width=2', 'batch=12', 'threads=1'],
  ...['validation.every=4', 'checkpoints.every=2', 'checkpoints.keepLogSpaced=0'],
];
const options = (name: string, more: Partial<PretrainOptions> = {}): PretrainOptions => ({
  ...{ data, out: path(name) },
  ...more,
  config: fromSettings(SETTINGS, { steps: 4, ...more.config }),
});

/** Runs a command on all of some ranks. */
const onAll = <T>(size: number, run: (ranks: Ranks) => Promise<T>): Promise<PromiseSettledResult<T>[]> =>
  Promise.allSettled(ranksHere(size).map(run));

/** Ranks of which the first has all processors, and the second a half. */
const onOwnProcessors = (ranks: Ranks): Ranks => ({ ...ranks, onProcessors: ranks.rank + 1 });
const THREADS = [1, 2].map((part) => Math.max(1, Math.floor(availableParallelism() / part)));

const losses = (run: string) =>
  readMetrics(join(run, 'metrics.jsonl')).flatMap(({ loss, validationLoss }) => loss ?? validationLoss!);

function expectClose(found: readonly number[], expected: readonly number[], digits = 5): void {
  expect(found).toHaveLength(expected.length);
  for (const [i, value] of expected.entries())
    expect(Math.abs(found[i]! - value)).toBeLessThan(10 ** -digits);
}

beforeAll(async () => {
  mkdirSync(data);
  await sampleStore(data);
});

describe('pretrain on several ranks', () => {
  test('makes one run, whose micro-batches are one a rank; any number of ranks that divides them goes on', async () => {
    const results = await onAll(4, (ranks) => pretrain(options('four', { ranks })));
    expect(results).toMatchObject(
      new Array(4).fill({ status: 'fulfilled', value: { ending: 'finished', step: 4, ranks: 4 } }),
    );
    expect(readRun(path('four')).config).toMatchObject({ batch: 12, microBatch: 3, threads: 1 });
    expect(readdirSync(path('four')).sort()).toEqual([
      ...['checkpoints', 'config.json', 'events', 'metrics.jsonl', 'sessions.jsonl'],
    ]);
    expect(readdirSync(join(path('four'), 'events'))).toHaveLength(1);

    const more = { steps: 8 };
    const refused = await onAll(3, (ranks) =>
      pretrain({ out: path('four'), resume: true, ranks, config: more }),
    );
    for (const result of refused)
      expect(result).toMatchObject({
        reason: { kind: 'config', message: expect.stringContaining('1, 2, 4 ranks') },
      });
    const two = await onAll(2, (ranks) => pretrain({ out: path('four'), resume: true, ranks, config: more }));
    expect(two).toMatchObject(new Array(2).fill({ status: 'fulfilled', value: { from: 4, step: 8 } }));

    await pretrain(options('one', { config: { microBatch: 3, steps: 8, validation: { every: 4 } } }));
    expectClose(losses(path('four')), losses(path('one')));
    const [found, expected] = ['four', 'one'].map((name) =>
      loadCheckpoint(checkpointPath(path(name), 'last')),
    );
    expect(found!.state).toMatchObject({ step: 8, schedule: { learningRate: 0.01 } });
    for (const [name, { data: values }] of expected!.tensors)
      expectClose([...(found!.tensors.get(name)!.data as Float32Array)], [...(values as Float32Array)]);
  });

  test('normalises over all ranks where asked to, and then is the run of one process', async () => {
    const together = (size: number, more: Partial<PretrainOptions>) =>
      onAll(size, (ranks) => pretrain({ ...options('together'), ...more, ranks, syncNorm: true }));
    for (const result of await together(2, {})) expect(result).toMatchObject({ status: 'fulfilled' });
    expect(readRun(path('together')).config).toMatchObject({ batch: 12, microBatch: null });
    const longer = { resume: true, config: fromSettings(SETTINGS, { steps: 6 }) };
    for (const result of await together(3, longer)) expect(result).toMatchObject({ status: 'fulfilled' });

    await pretrain(options('plain', { config: { steps: 6 } }));
    expectClose(losses(path('together')), losses(path('plain')), 4);
    const [found, expected] = ['together', 'plain'].map(
      (name) => loadCheckpoint(checkpointPath(path(name), 'last')).tensors,
    );
    for (const [name, { data: values }] of expected!)
      expectClose([...(found!.get(name)!.data as Float32Array)], [...(values as Float32Array)], 4);
    expect(losses(path('plain'))).not.toEqual(losses(path('four')).slice(0, 8));
  });

  test('refuses to normalise together what is compared within a micro-batch', async () => {
    const [result] = await onAll(2, (ranks) =>
      pretrain(options('compared', { ranks, syncNorm: true, config: { contrastive: { weight: 0.1 } } })),
    );
    expect(result).toMatchObject({
      reason: { message: expect.stringMatching(/contrastive\.weight: .*share/) },
    });
  });

  test('refuses --sync-norm where there is nobody to normalise with', async () => {
    const { code, stderr } = await p2wHere([
      'pretrain',
      '--data',
      data,
      '--out',
      path('idle'),
      '--sync-norm',
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain('--sync-norm cannot be used with a single process');
  });

  test.each([
    ['mixed precision', { precision: 'amp' }],
    ['recomputation', { memory: 8e9 }],
  ] as const)('refuses to synchronise normalisation with %s', async (what, config) => {
    const [result] = await onAll(2, (ranks) => pretrain(options('mixed', { ranks, syncNorm: true, config })));
    expect(result).toMatchObject({ reason: { message: expect.stringContaining(`combined with ${what}`) } });
  });

  test('trains in mixed precision as one rank does', async () => {
    const config = { precision: 'amp', microBatch: 6 } as const;
    const results = await onAll(2, (ranks) => pretrain(options('half', { ranks, config })));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
    await pretrain(options('half-alone', { config }));
    expectClose(losses(path('half')), losses(path('half-alone')), 3);
  });

  test('stops all of them after the same step when one is asked to', async () => {
    const asked = { 0: 0, 1: 0 } as Record<number, number>;
    const results = await onAll(2, (ranks) =>
      pretrain(
        options('stopped', { ranks, interrupted: () => ranks.rank === 1 && ++asked[ranks.rank]! >= 3 }),
      ),
    );
    expect(results).toMatchObject(
      new Array(2).fill({ status: 'fulfilled', value: { ending: 'interrupted', step: 3 } }),
    );
    expect(loadCheckpoint(checkpointPath(path('stopped'), 'last')).state.step).toBe(3);
  });

  test('gives each rank its own share of the processors that it may use', async () => {
    const results = await onAll(2, (ranks) =>
      pretrain(options('shares', { ranks: onOwnProcessors(ranks), config: { threads: 0 } })),
    );
    expect(results).toMatchObject(THREADS.map((threads) => ({ value: { threads } })));
    expect(readRun(path('shares')).config.threads).toBe(0);
  });

  test('refuses ranks that were given other settings, on all of them, before there is a run', async () => {
    const results = await onAll(2, (ranks) =>
      pretrain(options('refused', { ranks, config: { learningRate: 0.1 / (1 + ranks.rank) } })),
    );
    for (const result of results)
      expect(result).toMatchObject({
        reason: { message: expect.stringContaining('learningRate: 0.1 on rank 0, 0.05 on rank 1') },
      });
    expect(readdirSync(path('refused'))).toEqual(['checkpoints']);
  });
});

describe('finetune on several ranks', () => {
  const config = fromSettings(
    [
      ...['network.levels=1', 'network.width=2', 'batch=4', 'hidden=null', 'threads=1', 'workers=0'],
      ...['validation.every=2', 'steps=4'],
    ],
    {},
  );
  beforeAll(async () => {
    await writeBalls(path('raw'), { patients: 16, each: 2, size: [16, 16, 8] });
    await prepareSamples({
      ...{ task: 'manifest', input: path('raw/table.csv'), out: samples, columns: BALL_COLUMNS },
      ...{ size: [16, 16, 8], classes: ['none', 'ball'] },
    });
  });

  test('makes the trials of one', async () => {
    const out = path('trials');
    const results = await onAll(2, (ranks) => finetune({ data: samples, out, trials: 2, config, ranks }));
    await finetune({ data: samples, out: path('alone'), trials: 2, config: { ...config, microBatch: 2 } });
    for (const trial of ['trial-01', 'trial-02'])
      expectClose(losses(join(out, trial)), losses(join(path('alone'), trial)));
    const summary = JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'));
    for (const result of results) expect(result).toMatchObject({ status: 'fulfilled', value: summary });
  });

  test('gives each rank its own share of the processors that it may use', async () => {
    const said: string[][] = [[], []];
    await onAll(2, (ranks) => {
      const log = (line: string) => void said[ranks.rank]!.push(line);
      const start: Reporter['start'] = (progress) => ({ ...silent.start(progress), log });
      return finetune({
        ...{ data: samples, out: path('fine-shares'), config: { ...config, threads: 0 } },
        ...{ ranks: onOwnProcessors(ranks), reporter: { log, start } },
      });
    });
    for (const [rank, threads] of THREADS.entries())
      expect(said[rank]!.join()).toContain(`each with threads: ${threads}`);
  });

  test.each<[string, Partial<FinetuneOptions>]>([
    ['trials: 1 on rank 0, 2 on rank 1', { trials: 2 }],
    [
      'frozenEncoder: false on rank 0, true on rank 1',
      { init: 'a.onnx', config: { ...config, frozenEncoder: true } },
    ],
    ['finished trials: 0 on rank 0, 1 on rank 1', { out: path('alone') }],
  ])(
    'refuses ranks that were asked for something else, before they wait for each other: %s',
    async (what, other) => {
      const results = await onAll(2, (ranks) =>
        finetune({
          ...{ data: samples, out: path('fine-refused'), config, ranks, resume: true },
          ...(ranks.rank === 1 && other),
        }),
      );
      for (const result of results)
        expect(result).toMatchObject({ reason: { message: expect.stringContaining(what) } });
      expect(existsSync(path('fine-refused'))).toBe(false);
    },
  );
});
