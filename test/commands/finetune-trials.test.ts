/** Trials of a fine-tuning: how they are made, told apart, and taken up again. */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type FinetuneOptions, finetune } from '../../src/commands/finetune.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { readMetrics } from '../../src/runs/metrics.js';
import { readFinetuneRun } from '../../src/runs/run.js';
import { BALL_COLUMNS } from '../data/samples/labelled-data.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { prepareBalls, pretrainOnTiles, trainingsIn } from './finetune-balls.js';

const folder = temporaryFolder();
const { at, options, segment } = trainingsIn(folder);

beforeAll(async () => {
  await prepareBalls(folder);
  await pretrainOnTiles(folder);
});

describe('finetune', () => {
  test('a trial whose folder is deleted while it trains is an error, and does not come back half', async () => {
    const out = join(folder, 'deleted');
    const interrupted = () => {
      rmSync(out, { recursive: true, force: true });
      return false;
    };
    await expect(finetune(options('deleted', { interrupted }))).rejects.toThrow(/this does not exist/);
    expect(existsSync(out)).toBe(false);
  });

  test('trials differ by their seeds, and finished ones are not made again', async () => {
    const short = { config: { steps: 8 } };
    await finetune(options('trials', short));
    const path = at('trials/trial-01/scores.json');
    const { test: found, ...scores } = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...scores, step: 999, test: { ...found, average_precision: 0.4 } }));
    const summary = await finetune(options('trials', { ...short, trials: 3, resume: true }));
    expect(summary.trials.map(({ seed, step }) => [seed, step])).toEqual([
      [1, 999],
      [2, 8],
      [3, 8],
    ]);
    const [, second, third] = summary.trials.map(({ test }) => test.average_precision!);
    const mean = (0.4 + second! + third!) / 3;
    const squares = [0.4, second!, third!].reduce((sum, value) => sum + (value - mean) ** 2, 0);
    expect(summary.mean.average_precision).toBeCloseTo(mean, 12);
    expect(summary.standardDeviation.average_precision).toBeCloseTo(Math.sqrt(squares / 2), 12);
    // What decides nothing may differ, and keys that an earlier version did not know may be absent.
    const settings = at('trials/trial-01/config.json');
    const { bestBy: _, patients: __, ...earlier } = JSON.parse(readFileSync(settings, 'utf8'));
    writeFileSync(settings, JSON.stringify(earlier));
    const config = { steps: 8, workers: 1 };
    const again = await finetune(options('trials', { config, trials: 3, resume: true }));
    expect(again.trials).toEqual(summary.trials);
    const fewer = await finetune(options('trials', { config, trials: 2, resume: true }));
    expect(fewer.notes).toEqual(['3 trials are finished here; the summary is of 2']);
    const one = await finetune(options('one-patient', { config: { steps: 1, patients: 1 } }));
    expect(one.notes).toEqual([
      'so that every class is among them, 1 of 1 trials have up to 2 patients instead of 1',
    ]);
  });

  test('a run of an earlier version that weighted Dice, which changed nothing, is read as it was trained', async () => {
    await finetune(segment('weighted', { config: { steps: 2 } }));
    const path = at('weighted/trial-01/config.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"balance": "none"', '"balance": "weights"'));
    expect(readFinetuneRun(at('weighted/trial-01')).config.balance).toBe('none');
    const again = await finetune(segment('weighted', { config: { steps: 2 }, resume: true }));
    expect(again.trials).toHaveLength(1);
  });

  test('a finished trial is not passed off as one of other settings, weights or data', async () => {
    const short = { steps: 2 };
    await finetune(options('finished', { config: short }));
    const again = (more: Partial<FinetuneOptions>) =>
      finetune({ ...options('finished', { resume: true, config: short }), ...more });
    const asked = (config: FinetuneOptions['config']) =>
      again(options('finished', { config: { ...short, ...config } }));
    await expect(asked({ steps: 3, batch: 5 })).rejects.toThrow(
      /finished\/trial-01: this trial is finished[\s\S]*batch: 6, now 5; steps: 2, now 3\n[\s\S]*another --out/,
    );
    await expect(again({ init: at('pretrained') })).rejects.toThrow(
      /init\.from: "random", now ".*pretrained"/,
    );
    await expect(again({ seed: 2 })).rejects.toThrow(/seed: 1, now 2/);
    await prepareSamples({
      ...{ task: 'manifest', size: [16, 16, 8], input: at('raw/table.csv'), out: at('classified-again') },
      ...{ columns: BALL_COLUMNS, classes: ['ball', 'none'] },
    });
    await expect(again({ data: at('classified-again') })).rejects.toThrow(
      /data: .*classified, now .*classified-again with other samples/,
    );
    // A folder that was moved holds the same samples.
    cpSync(at('classified'), at('classified-moved'), { recursive: true });
    await expect(again({ data: at('classified-moved') })).resolves.toMatchObject({ interrupted: false });
    // Nothing tells what data they were any more.
    rmSync(at('finished/trial-01/checkpoints'), { recursive: true });
    await expect(again({})).resolves.toMatchObject({ interrupted: false });
  });

  test('the checkpoint that is kept may go by a score', async () => {
    const config = { steps: 12, validation: { every: 1 }, bestBy: 'auc' } as const;
    const { trials } = await finetune(options('by-auc', { config }));
    const curve = readMetrics(join(at('by-auc'), 'trial-01/metrics.jsonl')).filter((m) => 'auc' in m);
    const best = curve.reduce((a, b) => ((b.auc as number) > (a.auc as number) ? b : a));
    expect(trials[0]).toMatchObject({ bestStep: best.step, validationLoss: best.validationLoss });
    const wrong = { bestBy: 'dice@0.5' } as const;
    await expect(finetune(options('by-dice', { config: wrong }))).rejects.toThrow(
      /not measured for the task/,
    );
  });
});
