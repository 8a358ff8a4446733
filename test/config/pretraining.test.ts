import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfigFile } from '../../src/config/file.js';
import { changeConfig, checkConfig, PRESET_NAMES, resolveConfig } from '../../src/config/pretraining.js';
import { fromSettings } from '../../src/config/settings.js';
import { keptSteps, validationInterval } from '../../src/train/plan.js';
import { errorOf, temporaryFolder } from '../data/store/tiles-sample.js';

describe('a configuration', () => {
  test.each(PRESET_NAMES)('preset %s is complete and valid', (preset) => {
    expect(resolveConfig({ preset })).toMatchObject({
      preset,
      normalise: 'hu',
      window: { low: -1000, high: 1000 },
      network: { levels: 3, skip: false },
    });
  });

  test('the preset "paper" is the paper’s', () => {
    const config = resolveConfig({ preset: 'paper' });
    expect(config.whole).toEqual([128, 128, 64]);
    expect(config.part).toEqual({ scale: [1 / 16, 1 / 4], ratio: [3 / 4, 4 / 3], isotropic: false });
    expect(config).toMatchObject({
      batch: 16,
      learningRate: 1e-3,
      network: { width: 32, norm: { epsilon: 1e-3, momentum: 0.99 } },
    });
  });

  test('comes from preset, then file, then settings, then flags', () => {
    const file = join(temporaryFolder(), 'config.json');
    writeFileSync(file, JSON.stringify({ batch: 8, seed: 5, network: { width: 4 } }));
    const config = resolveConfig({
      preset: 'tiny',
      file: readConfigFile(file),
      config: fromSettings(['batch=2', 'whole=16x16x8', 'steps=7'], { steps: 9, seed: undefined }),
    });
    expect(config).toMatchObject({
      batch: 2,
      seed: 5,
      steps: 9,
      whole: [16, 16, 8],
      network: { width: 4, levels: 3 },
    });
  });

  test.each([
    ['batch=many', 'batch: expected an integer, got "many"'],
    ['seed=1.5', 'seed: expected an integer, got 1.5'],
    ['steps=-3', 'steps: expected more than 0, got -3'],
    ['workers=100', 'workers: expected at most 64, got 100'],
    ['learningRate=fast', 'learningRate: expected a number, got "fast"'],
    ['clipNorm=1e400', 'clipNorm: expected a number, got Infinity'],
    ['network.skip=maybe', 'network.skip: expected true or false, got "maybe"'],
    ['network.upsampling=cubic', 'network.upsampling: expected one of nearest, deconv, got "cubic"'],
    ['optimizer.name=lion', 'optimizer.name: expected one of adam, adamw, sgd, got "lion"'],
    ['forms=3', 'forms: expected one of auto, tuned, fast, plain, or expected an object, got 3'],
    ['checkpoints=[1]', 'checkpoints: expected an object, got [1]'],
    [
      'whole=64x64',
      'whole: a size must be three positive integers, x×y×z, for example 128x128x64, got "64x64"',
    ],
    ['device=tpu', 'device: a device must be auto, cpu, cuda or cuda:N, got "tpu"'],
    ['checkpoints.keepLogSpaced=1e9', 'checkpoints.keepLogSpaced: expected at most 64, got 1000000000'],
    ['network.depth=3', 'network.depth: unknown key'],
  ])('with %s is refused with what was given and what is expected', (setting, message) => {
    const { message: said } = errorOf(() =>
      resolveConfig({ preset: 'tiny', config: fromSettings([setting]) }),
    );
    expect(said).toContain(message);
  });

  test('does not keep more checkpoints than a disk could hold', () => {
    const settings = ['steps=1e12', 'checkpoints.keepEvery=1'];
    const { message } = errorOf(() => resolveConfig({ preset: 'tiny', config: fromSettings(settings) }));
    expect(message).toMatch(/checkpoints\.keepEvery: too many[\s\S]*one every 1 steps of 1000000000000/);
  });

  test('random weights to begin with are none that are loaded', () => {
    expect(resolveConfig({ config: fromSettings(['init=random']) }).init).toBeNull();
  });

  test('of a run from before there were proxies is one of Parts2Whole', () => {
    const { proxy, ...older } = resolveConfig({ preset: 'tiny' });
    expect(checkConfig(older, 'config.json')).toEqual({ ...older, proxy: 'parts2whole' });
    expect(proxy).toBe('parts2whole');
  });

  test('another optimiser replaces the options of the old one', () => {
    const config = resolveConfig({ preset: 'tiny', config: { optimizer: { name: 'sgd', momentum: 0.8 } } });
    expect(config.optimizer).toEqual({ name: 'sgd', momentum: 0.8, weightDecay: 0 });
    const file = { path: 'site.json', contents: { optimizer: { name: 'sgd', momentum: 0.8 } } };
    const { optimizer } = resolveConfig({ file, config: { optimizer: { name: 'adamw' } } });
    expect(optimizer).toMatchObject({ name: 'adamw', beta1: 0.9 });
    expect(optimizer).not.toHaveProperty('momentum');
  });

  test('options of an optimiser may come before its name, or in another layer', () => {
    const settings = ['optimizer.weightDecay=0.01', 'optimizer.name=adamw'];
    const file = { path: 'site.json', contents: { optimizer: { weightDecay: 0.01 } } };
    for (const sources of [
      { config: fromSettings(settings) },
      { config: fromSettings(settings.toReversed()) },
      { file, config: fromSettings(['optimizer.name=adamw']) },
    ])
      expect(resolveConfig(sources).optimizer).toMatchObject({ name: 'adamw', weightDecay: 0.01 });
  });

  test('a preset among its changes brings its values, and the last one named counts', () => {
    const file = { path: 'site.json', contents: { preset: 'small', steps: 7 } };
    const small = resolveConfig({ preset: 'small' });
    expect(resolveConfig({ file })).toEqual({ ...small, steps: 7 });
    expect(resolveConfig({ preset: 'tiny', file })).toEqual({ ...small, steps: 7 });
    const paper = resolveConfig({ preset: 'paper' });
    expect(resolveConfig({ file, config: fromSettings(['preset=paper']) })).toEqual({ ...paper, steps: 7 });
    expect(() => resolveConfig({ config: fromSettings(['preset=medium']) })).toThrow(
      /preset: expected one of tiny, small/,
    );
    expect(() => changeConfig(small, { config: { preset: 'tiny' } })).toThrow(/cannot be changed afterwards/);
  });

  test('the config.json of a run can be the file: its data are not settings', () => {
    const path = join(temporaryFolder(), 'config.json');
    const config = resolveConfig({ preset: 'small', config: { seed: 3 } });
    writeFileSync(path, JSON.stringify({ data: 'tiles', tile: [32, 32, 16], ...config }));
    expect(resolveConfig({ file: readConfigFile(path) })).toEqual(config);
    const facts = { format: {}, spacing: null, init: { from: 'a', sha256: '1' } };
    for (const [model, expected] of [
      [null, {}],
      [{ sha256: '1', head: 'keep' }, { model: { head: 'keep' } }],
    ] as const) {
      writeFileSync(path, JSON.stringify({ data: 'samples', ...facts, model, steps: 5 }));
      expect(readConfigFile(path).contents).toEqual({ init: { from: 'a' }, ...expected, steps: 5 });
    }
    writeFileSync(path, JSON.stringify({ data: 'tiles', seed: 3 }));
    expect(() => resolveConfig({ file: readConfigFile(path) })).toThrow(/data: unknown key/);
  });

  test.each([
    [['network.widht=3'], /network.*widht/],
    [['optimizer.name="lamb"'], /optimizer/],
    [['part.scale=[0.5,0.1]'], /part\.scale: the first number must not be greater than the second/],
    [['window.low=2000'], /window: low must be below high/],
    [['batch=16', 'microBatch=5'], /must be a multiple of the micro-batch size/],
    [['whole=30x32x16'], /multiples of 8/],
    [['steps'], /key=value/],
    [['learningRate="fast"'], /learningRate/],
  ])('refuses %j', (settings, message) => {
    expect(() => resolveConfig({ preset: 'tiny', config: fromSettings(settings) })).toThrow(message);
  });
});

test('kept checkpoints are log-spaced from the untrained network to the last step', () => {
  const plan = (keepLogSpaced: number, keepEvery: number | null, steps: number) =>
    [...keptSteps({ steps, checkpoints: { every: 1, keepEvery, keepLogSpaced } })].sort((a, b) => a - b);
  expect(plan(6, null, 160)).toEqual([0, 10, 20, 40, 80, 160]);
  expect(plan(0, 50, 160)).toEqual([50, 100, 150]);
  expect(plan(2, 100, 160)).toEqual([0, 100, 160]);
});

test('without a number, validation is once an epoch', () => {
  const config = resolveConfig({ preset: 'genesis' });
  expect(validationInterval(config, 1600)).toBe(100);
  expect(validationInterval(config, 3)).toBe(1);
  expect(validationInterval(resolveConfig({ preset: 'tiny' }), 1600)).toBe(50);
});
