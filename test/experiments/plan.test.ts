import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkBases, withBases } from '../../src/experiments/basis.js';
import { planFig2 } from '../../src/experiments/fig2.js';
import { jobsFolder, writeResult } from '../../src/experiments/job-files.js';
import {
  checkpointSteps,
  exportJob,
  type Job,
  pretrainConfig,
  pretrainJobId,
} from '../../src/experiments/jobs.js';
import { checkIds, planTrials } from '../../src/experiments/plan.js';
import {
  type ExperimentConfig,
  readExperiment,
  type Source,
  type Target,
} from '../../src/experiments/schema.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const source = (name: string, more: Partial<Source> = {}): Source => ({
  name,
  pretrain: [],
  checkpoint: 'best',
  load: { classification: 'encoder', segmentation: 'encoder' },
  ...more,
});
const target = (name: string, more: Partial<Target> = {}): Target => ({
  ...{ name, paper: null, data: 'samples', probe: false, fractions: [], patients: [], settings: [] },
  ...more,
});
const config = (targets: Target[], more: Partial<ExperimentConfig> = {}): ExperimentConfig => ({
  ...{ tiles: 'tiles', preset: 'tiny', pretrain: [], targets, maps: { wholes: 2, parts: 2 } },
  ...{ trials: 2, seed: 1, threads: 1, ...more },
});
const planOf = (sources: Source[], targets: Target[]) =>
  planTrials(config(targets), sources, 'out', () => 'classification');

test('settings of a network are for networks of ours, and random weights load nothing', () => {
  const settings = ['network.skip=false', 'steps=3'];
  const argsOf = (more: Partial<Source>, of: Partial<Target> = {}) =>
    planOf([source('x', more)], [target('balls', { settings, ...of })])
      .jobs.find(({ args }) => args[0] === 'finetune')!
      .args.join(' ');
  expect(argsOf({})).toContain('--set network.skip=false --set steps=3');
  for (const args of [argsOf({ init: 'a.onnx', pretrain: null }), argsOf({}, { probe: true })]) {
    expect(args).not.toContain('network.skip');
    expect(args).toContain('--set steps=3');
  }
  expect(argsOf({ init: 'random', pretrain: null })).not.toContain('--load');
});

describe('names of jobs', () => {
  test('are the old ones for the letters of English, and keep those of other scripts', () => {
    const idOf = (name: string) => pretrainJobId({ name });
    expect(idOf('[1⁄16, 1] with skips')).toBe('pretrain-_1-16_1_with_skips');
    expect(idOf('8 scans, seed 2_b-c.d')).toBe('pretrain-8_scans_seed_2_b-c.d');
    expect(['随机', '预训练', 'α=0.1', 'β=0.1'].map(idOf)).toEqual([
      'pretrain-随机',
      'pretrain-预训练',
      'pretrain-α_0.1',
      'pretrain-β_0.1',
    ]);
    expect(planOf([source('random')], [target('balls')]).jobs.map(({ id }) => id)).toEqual([
      'balls-random-fraction-1-seed-1',
      'balls-random-fraction-1-seed-2',
    ]);
  });

  test.each([
    [['α!', 'α?'], [target('balls')], /balls from α!, balls from α\?: balls-α_-fraction-1-seed-1/],
    [['c', 'b-c'], [target('a-b'), target('a')], /a-b from c, a from b-c: a-b-c-fraction-1-seed-1/],
    [['x'], [target('balls', { patients: [4, 4] })], /got: +balls from x: balls-x-patients-4-seed-1/],
  ])('must differ: %j', (names, targets, message) => {
    const sources = names.map((name) => source(name));
    expect(() => checkIds(sources, planOf(sources, targets))).toThrow(message);
  });

  test('must differ for encoders, too', () => {
    const sources = [source('α!'), source('α?')];
    const jobs = planFig2(config([]), sources, 'out');
    expect(() => checkIds(sources, { jobs, trials: [] })).toThrow(/got: +α!, α\?: export-pretrain-α_/);
  });

  test('of one target differ by the amount of its data', () => {
    const sources = [source('random', { pretrain: null }), source('parts2whole')];
    const targets = [target('balls', { patients: [4, 8] }), target('balls', { patients: [16], trials: 1 })];
    checkIds(sources, planOf(sources, targets));
  });
});

test('checkpoints are spread over the steps of the source', () => {
  const settings = config([], { pretrain: ['steps=50'] });
  const stepsOf = (pretrain: string[]) =>
    checkpointSteps(pretrainConfig(settings, source('x', { pretrain })));
  expect(stepsOf([]).at(-1)).toBe(50);
  expect(stepsOf(['steps=100'])).toEqual(Array.from({ length: 26 }, (_, i) => 4 * i));
});

test('an untrained encoder is never that of a pre-training that began elsewhere', () => {
  const random = source('random', { pretrain: null });
  const later = source('later', { pretrain: ['init=start.safetensors'] });
  const encoders = (sources: Source[]) => exportJob(random, sources, 'out').args;
  expect(encoders([random, later, source('first')]).join(' ')).toContain('pretrain-first');
  expect(() => encoders([random, later])).toThrow(/without "init"/);
});

describe('what results rest on', () => {
  const at = temporaryFolder();
  const file = join(at, 'encoder.onnx');
  const jobs = [
    { id: 'first', args: ['pretrain', '--data', 'none', '--set', 'steps=2'], after: [] },
    { id: 'second', args: ['finetune', '--init', file], after: ['first'] },
    { id: 'third', args: ['finetune', '--data', 'none'], after: [] },
  ] as const;
  const basesOf = (all: readonly Job[]) => withBases(all).map(({ basis }) => basis);

  test('changes with files, and with the jobs before', () => {
    writeFileSync(file, 'weights');
    const before = basesOf(jobs);
    expect(basesOf(jobs)).toEqual(before);
    writeFileSync(file, 'others');
    const [first, second, third] = basesOf(jobs);
    expect([first, third]).toEqual([before[0], before[2]]);
    expect(second).not.toBe(before[1]);
    const longer = { ...jobs[0], args: [...jobs[0].args.slice(0, -1), 'steps=3'] };
    const after = basesOf([longer, ...jobs.slice(1)]);
    expect(after.map((basis, i) => basis === [first, second, third][i])).toEqual([false, false, true]);
  });

  test('changes with weights that settings name, with runs, and with tensors beside a model, but not with what other jobs write', () => {
    const basisOf = (...args: string[]) =>
      basesOf([
        { id: 'other', args: ['pretrain', '--out', join(at, 'made')], after: [] },
        { id: 'job', args, after: [] },
      ])[1];
    const run = join(at, 'run', 'checkpoints');
    mkdirSync(run, { recursive: true });
    const changes = (path: string, ...args: string[]) => {
      writeFileSync(path, 'one');
      const before = basisOf(...args);
      writeFileSync(path, 'other');
      return basisOf(...args) !== before;
    };
    expect(changes(file, 'pretrain', '--set', `init=${file}`)).toBe(true);
    expect(changes(join(run, 'best.safetensors'), 'finetune', '--init', join(at, 'run'))).toBe(true);
    mkdirSync(join(at, 'made', 'checkpoints'), { recursive: true });
    expect(
      changes(join(at, 'made/checkpoints/best.safetensors'), 'finetune', '--init', join(at, 'made')),
    ).toBe(false);
  });

  test('must be the same as when they were made, if that was kept', () => {
    mkdirSync(jobsFolder(at));
    const [first, second] = withBases(jobs) as [Job, Job];
    writeResult(at, first, {});
    writeResult(at, jobs[1], {});
    expect(() => checkBases(at, [first, second])).not.toThrow();
    expect(() => checkBases(at, [{ ...first, basis: 'another' }, second])).toThrow(
      /other data, or of other pre-trainings[\s\S]*first/,
    );
  });
});

test('settings leave amounts and seeds to their keys, metrics are shares, and targets of one name are alike', () => {
  const path = join(temporaryFolder(), 'study.json');
  const read = (target: object) => {
    writeFileSync(
      path,
      JSON.stringify({ tiles: 'tiles', targets: [{ name: 'a', data: 'samples', ...target }] }),
    );
    return readExperiment(path);
  };
  expect(() => read({ settings: ['patients=2'] })).toThrow(/amounts of data are "fractions" and "patients"/);
  expect(() => read({ metric: 'hausdorff95_mm' })).toThrow(/distances are not shares/);
  expect(read({ metric: 'surface_dice' }).targets[0]!.metric).toBe('surface_dice');
  const twice = (more: object) => {
    const targets = [
      { name: 'a', data: 'samples' },
      { name: 'a', data: 'samples', ...more },
    ];
    writeFileSync(path, JSON.stringify({ tiles: 'tiles', targets }));
    return () => readExperiment(path);
  };
  expect(twice({ patients: [4], trials: 3 })).not.toThrow();
  expect(twice({ probe: true })).toThrow(/another target has this name/);
});
