import { describe, expect, test } from 'vitest';
import { planFig2 } from '../../src/experiments/fig2.js';
import {
  checkIds,
  checkpointSteps,
  planTrials,
  pretrainConfig,
  pretrainJobId,
} from '../../src/experiments/plan.js';
import type { ExperimentConfig, Source, Target } from '../../src/experiments/schema.js';

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
