/** A library user's configuration: the compiler knows every key, and so does the run. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type Config,
  type FinetuneConfig,
  type finetune,
  makeGraph,
  pretrain,
  readConfigFile,
  resolveConfig,
  resolveFinetuneConfig,
  type UserError,
} from '../../src/index.js';
import { readRun } from '../../src/runs/run.js';
import { errorOf, sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
beforeAll(() => sampleStore(at('tiles')));

test('pretrain takes some keys of the configuration, at any depth', async () => {
  const summary = await pretrain({
    data: at('tiles'),
    out: at('run'),
    preset: 'tiny',
    config: {
      network: { width: 2, levels: 2 },
      whole: [16, 8, 8],
      batch: 4,
      threads: 1,
      workers: 0,
      steps: 2,
    },
  });
  expect(summary.step).toBe(2);
  const { config } = readRun(at('run'));
  expect(config).toMatchObject({ network: { width: 2, levels: 2, upsampling: 'nearest' }, batch: 4 });
});

describe('a key that there is not, or a value of another type, does not compile and does not run', () => {
  const out = at('never');
  const data = at('tiles');
  test.each<[string, () => unknown, RegExp]>([
    [
      'pretrain',
      // @ts-expect-error widht
      () => pretrain({ data, out, config: { network: { widht: 16 } } }),
      /network\.widht: unknown key/,
    ],
    [
      'pretrain, a value',
      // @ts-expect-error a number, not text
      () => pretrain({ data, out, config: { batch: 'many' } }),
      /batch: expected an integer, got "many"/,
    ],
    [
      'makeGraph',
      // @ts-expect-error learningrate
      () => makeGraph({ preset: 'tiny', what: 'step', config: { learningrate: 1 } }),
      /learningrate: unknown key/,
    ],
    [
      'resolveFinetuneConfig',
      // @ts-expect-error a key of pre-training
      () => resolveFinetuneConfig({ kind: 'segmentation', config: { whole: [8, 8, 8] } }),
      /whole: unknown key/,
    ],
  ])('%s', async (_, run, message) => {
    await expect((async () => run())()).rejects.toThrow(message);
  });

  test('finetune', () => {
    type Given = NonNullable<Parameters<typeof finetune>[0]['config']>;
    const known: Given = { init: { parts: ['encoder'] }, augmentation: { flips: true } };
    // @ts-expect-error augmentation.flip
    const unknown: Given = { augmentation: { flip: true } };
    const resolve = (config: Given) => resolveFinetuneConfig({ kind: 'classification', config });
    expect(resolve(known).augmentation).toEqual({ flips: true, rotationDegrees: 0, intensity: 0 });
    expect(() => resolve(unknown)).toThrow(/augmentation\.flip: unknown key/);
  });
});

test('what is resolved may be given again, and undefined changes nothing', () => {
  const config: Config = resolveConfig({ preset: 'tiny' });
  expect(resolveConfig({ preset: 'small', config })).toEqual(config);
  const target: FinetuneConfig = resolveFinetuneConfig({ kind: 'segmentation' });
  expect(resolveFinetuneConfig({ kind: 'segmentation', config: target })).toEqual(target);
  const unset = { steps: undefined, network: { width: undefined } };
  expect(resolveConfig({ preset: 'tiny', config: unset })).toEqual(config);
});

test('the file is blamed for what is in it, and for nothing else', () => {
  const path = at('config.json');
  writeFileSync(path, JSON.stringify({ batch: 0, network: { depth: 3 } }));
  const file = readConfigFile(path);
  const whereOf = (config: object) =>
    (errorOf(() => resolveConfig({ preset: 'tiny', file, config })) as UserError).facts.where;
  expect(whereOf({ seed: 2 })).toBe(path);
  expect(whereOf({ batch: -1 })).toBe(`${path} and configuration`);
  const right = { path, contents: { batch: 8 } };
  const wrong: object = { network: { depth: 3 } };
  expect(errorOf(() => resolveConfig({ preset: 'tiny', file: right, config: wrong })).message).toMatch(
    /^configuration: network\.depth/,
  );
});
