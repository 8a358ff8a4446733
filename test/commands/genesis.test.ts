import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { exportModel } from '../../src/commands/export.js';
import { finetune } from '../../src/commands/finetune.js';
import { inspect } from '../../src/commands/inspect.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { type PretrainOptions, pretrain } from '../../src/commands/pretrain.js';
import { makeReport } from '../../src/commands/report.js';
import type { DeepPartial } from '../../src/config/layers.js';
import { type Config, resolveConfig } from '../../src/config/pretraining.js';
import { fromSettings } from '../../src/config/settings.js';
import { checkpointPath } from '../../src/runs/checkpoint.js';
import { readMetrics } from '../../src/runs/metrics.js';
import { writeBalls } from '../data/samples/labelled-data.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { lastJson, p2w } from './cli.js';

const SETTINGS = [
  'network.levels=2',
  'network.width=2',
  'batch=4',
  'threads=1',
  'workers=0',
  'validation.every=10',
  'checkpoints.every=5',
  'checkpoints.keepLogSpaced=3',
];
const folder = temporaryFolder();
const data = join(folder, 'tiles');
const run = (name: string) => join(folder, name);
const options = (name: string, more: Partial<PretrainOptions> = {}): PretrainOptions => ({
  data,
  out: run(name),
  ...more,
  config: fromSettings(SETTINGS, { whole: [16, 8, 8], proxy: 'genesis', steps: 30, ...more.config }),
});

/** All files of a run that must not differ between two runs of one seed. */
function resultOf(name: string): Record<string, string> {
  const files = readdirSync(join(run(name), 'checkpoints')).map((file) => join('checkpoints', file));
  return Object.fromEntries(
    [...files, 'metrics.jsonl'].map((file) => [file, readFileSync(join(run(name), file), 'latin1')]),
  );
}
const saved = (name: string) => JSON.parse(readFileSync(join(run(name), 'config.json'), 'utf8'));

beforeAll(async () => {
  mkdirSync(data);
  await sampleStore(data);
  await pretrain(options('reference'));
});

describe('pretrain --proxy genesis', () => {
  test('trains a network with skip connections: its loss falls', () => {
    expect(saved('reference')).toMatchObject({ proxy: 'genesis', network: { skip: true, width: 2 } });
    const metrics = readMetrics(join(run('reference'), 'metrics.jsonl'));
    const losses = metrics.filter((m) => 'loss' in m).map((m) => m.loss!);
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    expect(losses).toHaveLength(30);
    expect(mean(losses.slice(-5))).toBeLessThan(mean(losses.slice(0, 5)));
    expect(metrics.filter((m) => 'validationLoss' in m).map((m) => m.step)).toEqual([0, 10, 20, 30]);
  });

  test('interrupted and resumed, or with other loader threads, it ends with the same bytes', async () => {
    let asked = 0;
    const config = { workers: 3 };
    await pretrain(options('interrupted', { config, interrupted: () => ++asked === 13 }));
    const second = await pretrain({ out: run('interrupted'), resume: true });
    expect(second).toMatchObject({ ending: 'finished', from: 13, step: 30 });
    expect(resultOf('interrupted')).toEqual(resultOf('reference'));
  });

  test('accumulates gradients, and averages larger tiles', async () => {
    const config = { whole: [8, 4, 4], microBatch: 2, steps: 3 } as const;
    const summary = await pretrain(options('averaged', { config }));
    expect(summary).toMatchObject({ ending: 'finished', step: 3 });
    const { featureError } = await exportModel({ run: run('averaged'), out: run('averaged-encoder') });
    expect(featureError).toBeLessThan(1e-4);
  });

  test('refuses a network without skip connections, and another proxy when it goes on', async () => {
    const config = { network: { skip: false } };
    await expect(pretrain(options('no-skip', { config }))).rejects.toThrow(
      /network\.skip: [\s\S]*skip connections/,
    );
    const resumed = options('reference', { resume: true, config: { proxy: 'parts2whole' } });
    await expect(pretrain(resumed)).rejects.toThrow(/started with[\s\S]*proxy: "genesis", now "parts2whole"/);
  });

  test('may be asked for in any layer of the configuration', () => {
    const skip = (config: DeepPartial<Config>) => resolveConfig({ preset: 'tiny', config }).network.skip;
    expect(skip({ proxy: 'genesis' })).toBe(true);
    expect(skip({})).toBe(false);
  });
});

describe('a run of Models Genesis', () => {
  test('is reported as what it is', async () => {
    const { checkpoints, meanWholeMse } = await makeReport({ run: run('reference'), wholes: 6, parts: 3 });
    expect(checkpoints.map(({ step }) => step)).toEqual([0, 15, 30]);
    for (const scores of checkpoints)
      for (const value of Object.values(scores)) expect(Number.isFinite(value)).toBe(true);
    // Noise in [0, 1] has a variance of 1/12, against the mean of 12 other wholes of noise.
    expect(meanWholeMse).toBeCloseTo((1 / 12) * (1 + 1 / 12), 2);
    const last = readMetrics(join(run('reference'), 'metrics.jsonl')).filter((m) => 'validationLoss' in m);
    expect(checkpoints.at(-1)!.validationMse).toBeCloseTo(last.at(-1)!.validationLoss!, 5);
    const page = readFileSync(join(run('reference'), 'report.html'), 'utf8');
    expect(page).toContain('Models Genesis run reference');
    expect(page).toContain('must restore the whole');
    expect(page).not.toContain('Parts2Whole');
  });

  test('is exported as what it is, and the encoder gives the features of the training network', async () => {
    const out = run('encoder');
    const { model, featureError } = await exportModel({ run: run('reference'), out });
    expect(featureError).toBeLessThan(1e-4);
    const { metadata } = decodeModel(readFileSync(model));
    expect(metadata).toMatchObject({ proxy: 'genesis', method: expect.stringContaining('Models Genesis') });
    expect(metadata).not.toHaveProperty('part');
    const card = readFileSync(join(out, 'model-card.md'), 'utf8');
    expect(card).toContain('# Encoder pre-trained by Models Genesis');
    expect(card).not.toContain('Parts2Whole');
  });

  test('is inspected as what it is', async () => {
    expect(await inspect(run('reference'))).toMatchObject({ facts: { proxy: 'genesis' } });
    expect(await inspect(checkpointPath(run('reference'), 'last'))).toMatchObject({ kind: 'tensors' });
  });
});

test('a segmenter takes encoder and decoder of a run of Models Genesis', async () => {
  await writeBalls(run('raw'), { patients: 8, each: 1, size: [16, 16, 8] });
  await prepareSamples({
    task: 'manifest',
    input: run('raw'),
    out: run('masked'),
    size: [16, 16, 8],
    classes: ['ball'],
    valFraction: 0.4,
  });
  await finetune({
    data: run('masked'),
    out: run('segmenter'),
    init: run('reference'),
    config: { batch: 2, threads: 1, workers: 0, steps: 2, init: { parts: ['encoder', 'decoder'] } },
  });
  const report = JSON.parse(readFileSync(join(run('segmenter'), 'trial-01/loaded.json'), 'utf8'));
  expect(report).toMatchObject({ missing: [], mismatched: [], unexpected: [] });
  expect(report.loaded).toContain('decoder.0.conv1.weight');
});

test('graph --proxy genesis writes the step of the restoring network', async () => {
  const file = join(folder, 'step.onnx');
  const result = await p2w(['graph', '--preset', 'tiny', '--proxy', 'genesis', '--out', file, '--json']);
  expect(result.code, result.stderr).toBe(0);
  expect(lastJson(result).config).toMatchObject({ proxy: 'genesis', network: { skip: true } });
  const { graph } = decodeModel(readFileSync(file));
  const inputs = new Map(graph.inputs.map(({ name, shape }) => [name, shape]));
  expect(inputs.get('corrupted')).toEqual([16, 16, 32, 32]);
  expect(inputs.get('target')).toEqual([16, 16, 32, 32]);
  expect(inputs.has('tile')).toBe(false);
});
