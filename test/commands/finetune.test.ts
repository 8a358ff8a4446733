/** What networks learn by fine-tuning, and what becomes of them: exports, reports, and the command itself. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Classified, classify } from '../../src/commands/classify.js';
import { exportTarget } from '../../src/commands/export-target.js';
import { finetune } from '../../src/commands/finetune.js';
import { inspect } from '../../src/commands/inspect.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { makeTargetReport } from '../../src/commands/report-target.js';
import { verify } from '../../src/commands/verify.js';
import { openSampleStore, readSample } from '../../src/data/samples/store.js';
import { checkpointPath, loadCheckpoint } from '../../src/runs/checkpoint.js';
import { readMetrics } from '../../src/runs/metrics.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { BALL_COLUMNS } from '../data/samples/labelled-data.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { lastJson, p2w } from './cli.js';
import { prepareBalls, pretrainOnTiles, trainingsIn } from './finetune-balls.js';

const folder = temporaryFolder();
const { at, options, segment } = trainingsIn(folder);

/** All files of a trial that must not differ between two of one seed. */
function resultOf(run: string): Record<string, string> {
  const files = ['metrics.jsonl', 'scores.json', 'predictions.csv'];
  const weights = readdirSync(join(run, 'checkpoints')).map((file) => join('checkpoints', file));
  return Object.fromEntries([...files, ...weights].map((f) => [f, readFileSync(join(run, f), 'latin1')]));
}

beforeAll(async () => {
  await prepareBalls(folder);
  await prepareSamples({
    task: 'manifest',
    size: [8, 16, 8],
    input: at('raw'),
    out: at('small'),
    classes: ['ball'],
  });
  await pretrainOnTiles(folder);
});

describe('finetune', () => {
  test('a classifier learns to see balls, and says how well on test samples', async () => {
    const summary = await finetune(options('classify'));
    expect(summary).toMatchObject({
      init: 'random',
      trainingSamples: 20,
      testSamples: 8,
      interrupted: false,
    });
    expect(summary.mean.auc).toBe(1);
    const run = at('classify/trial-01');
    const lines = readFileSync(join(run, 'predictions.csv'), 'utf8').trimEnd().split('\n');
    expect(lines[0]).toBe('id,patient,label,p_none,p_ball');
    expect(lines).toHaveLength(9);
    expect(JSON.parse(readFileSync(at('classify/summary.json'), 'utf8'))).toEqual(summary);
    const validations = readMetrics(join(run, 'metrics.jsonl')).filter((m) => 'validationLoss' in m);
    expect(validations.map(({ step }) => step)).toEqual([0, 10, 20, 30]);
    expect(validations.at(-1)!.auc).toBe(1);
  });

  test('a segmenter learns to draw balls', async () => {
    const summary = await finetune(segment('segment', { config: { steps: 120 } }));
    expect(summary.mean['dice@0.5']).toBeGreaterThan(0.8);
    expect(Object.keys(summary.mean)).toEqual(
      expect.arrayContaining(['miou_genesis', 'iou_fg@0.5', 'soft_dice', 'hausdorff95_mm', 'surface_dice']),
    );
  });

  test('a classifier of three classes gives each its probability', async () => {
    const [head, ...lines] = readFileSync(at('raw/table.csv'), 'utf8').trimEnd().split('\n');
    const halves = lines.map((line, i) => (i % 4 === 0 ? line.replace(',none,', ',half,') : line));
    writeFileSync(at('raw/three.csv'), [head, ...halves, ''].join('\n'));
    await prepareSamples({
      ...{ task: 'manifest', size: [16, 16, 8], input: at('raw/three.csv'), out: at('three') },
      columns: BALL_COLUMNS,
      classes: ['none', 'ball', 'half'],
    });
    const { mean } = await finetune(options('three-run', { data: at('three') }));
    expect(mean.accuracy).toBeGreaterThan(0.5);
    const [columns, ...rows] = readFileSync(at('three-run/trial-01/predictions.csv'), 'utf8')
      .trimEnd()
      .split('\n');
    expect(columns).toBe('id,patient,label,p_none,p_ball,p_half');
    for (const row of rows) {
      const probabilities = row.split(',').slice(3).map(Number);
      expect(probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
    }
  });

  test('a trial that was interrupted ends with the same bytes', async () => {
    await finetune(options('whole'));
    let asked = 0;
    const config = { workers: 1 }; // a thread that has read ahead
    const halted = await finetune(options('halted', { config, interrupted: () => ++asked > 11 }));
    expect(halted.interrupted).toBe(true);
    expect(existsSync(at('halted/trial-01/scores.json'))).toBe(false);
    const resumed = await finetune(options('halted', { config, resume: true }));
    expect(resumed.interrupted).toBe(false);
    expect(resultOf(at('halted/trial-01'))).toEqual(resultOf(at('whole/trial-01')));
  });

  test('its networks are exported, and say in another session what they said of the test samples', async () => {
    const store = openSampleStore(at('classified'));
    const summary = await exportTarget({ run: at('classify/trial-01'), out: at('exported') });
    expect(summary.error).toBeLessThan(1e-4);
    const session = await nodeEngine.load(readFileSync(summary.model), { threads: 1 });
    const lines = readFileSync(at('classify/trial-01/predictions.csv'), 'utf8')
      .trimEnd()
      .split('\n')
      .slice(1);
    for (const line of lines) {
      const [id, , , none, ball] = line.split(',');
      const sample = store.manifest.samples.find((s) => s.id === id)!;
      const image = {
        type: 'int16',
        shape: [1, 1, 8, 16, 16],
        data: readSample(store, sample).image,
      } as const;
      const found = (await session.run({ image })).probabilities!.data as Float32Array;
      expect(found[0]).toBeCloseTo(Number(none), 4);
      expect(found[1]).toBeCloseTo(Number(ball), 4);
    }
    await session.release();
    const card = readFileSync(summary.card, 'utf8');
    expect(card).toContain('of classes 0 none, 1 ball');
    for (const [split, name] of Object.entries({
      train: 'training',
      validation: 'validation',
      test: 'test',
    })) {
      const own = store.manifest.samples.filter((sample) => sample.split === split);
      const patients = new Set(own.map(({ patient }) => patient)).size;
      expect(card).toContain(`| ${name} samples | ${own.length} of ${patients} patients |`);
    }
    expect(card).toContain(`the best checkpoint on ${lines.length} test samples of `);
    // All samples have this spacing.
    const metadata = { normalise: 'hu', spacing: '1x1x1', sample_size: '16x16x8' };
    expect(await inspect(summary.model)).toMatchObject({ kind: 'model', facts: { metadata } });

    // The files that samples were made of are classified as the samples were.
    const whole = { model: summary.model, input: [at('raw/images')], out: at('whole.jsonl'), threads: 1 };
    expect(await classify(whole)).toMatchObject({ scans: 32, failures: [] });
    const rows = readFileSync(at('whole.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((row): Classified => JSON.parse(row));
    for (const line of lines) {
      const [id, , , none] = line.split(',');
      const found = rows.find(({ scan }) => scan === id)!;
      expect(found.probabilities.none).toBeCloseTo(Number(none), 4);
    }

    const options = {
      run: at('segment/trial-01'),
      out: at('exported-segmenter'),
      inputType: 'float32',
    } as const;
    const segmenter = await exportTarget(options);
    expect(segmenter.model).toMatch(/segmenter\.onnx$/);
    expect(segmenter.error).toBeLessThan(1e-4);
    expect(segmenter.precision).toBeNull();
    expect(readFileSync(segmenter.card, 'utf8')).toContain('| test samples | |');
    expect(readFileSync(segmenter.card, 'utf8')).not.toContain('those of the float32 network');
  });

  test.each(['float16', 'int8'] as const)('a segmenter in %s finds the same masks', async (precision) => {
    const {
      error,
      precision: report,
      model,
    } = await exportTarget({
      ...{ run: at('segment/trial-01'), out: at(`segmenter-${precision}`), precision, data: at('masked') },
    });
    expect(error).toBeLessThan(1e-4);
    expect(report!.error).toBeLessThan(precision === 'float16' ? 0.01 : 0.1);
    expect(report!.changedDecisions).toBeLessThan(0.01);
    expect(await verify(model)).toMatchObject({ ok: true });
    await expect(
      exportTarget({ run: at('segment/trial-01'), out: at('x'), precision, data: at('small') }),
    ).rejects.toThrow(/not like those that the network was trained on[\s\S]*8×16×8/);
  });

  test('its reports show curves, the ROC curve, or segmentations', async () => {
    const classifier = await makeTargetReport({ run: at('classify/trial-01') });
    expect(classifier.test.auc).toBe(1);
    const page = readFileSync(classifier.report, 'utf8');
    expect(page).toContain('ball, AUC 1.000');
    const segmenter = await makeTargetReport({ run: at('segment/trial-01') });
    const pictures = readFileSync(segmenter.report, 'utf8').match(/<img src="data:image\/png/g);
    expect(pictures).toHaveLength(4 * 9);
    await expect(makeTargetReport({ run: at('segment/trial-01'), data: at('small') })).rejects.toThrow(
      /not the samples that the trial was tested on/,
    );
    await expect(
      makeTargetReport({ run: at('halted/trial-01'), data: at('nowhere') }),
    ).resolves.toBeDefined();
    rmSync(at('halted/trial-01/scores.json'));
    await expect(makeTargetReport({ run: at('halted/trial-01') })).rejects.toThrow(/has not been tested yet/);
  });

  test('inspect tells samples and fine-tuning runs', async () => {
    expect(await inspect(at('classified'))).toMatchObject({
      kind: 'samples',
      facts: { classes: ['none', 'ball'], samples: { train: 20, validation: 4, test: 8 }, patients: 16 },
    });
    expect(await inspect(at('classify/trial-01'))).toMatchObject({
      kind: 'fine-tuning run',
      facts: { task: 'manifest, classification', begunFrom: 'random', step: '30 of 30' },
    });
  });

  test('bad requests are refused with what to do', async () => {
    await expect(finetune(options('classify'))).rejects.toThrow(/already[\s\S]*--resume/);
    await expect(finetune(options('x', { task: 'medmnist' }))).rejects.toThrow(
      /belong to a different task[\s\S]*manifest/,
    );
    await expect(finetune(options('x', { init: at('nowhere') }))).rejects.toThrow(
      /there are no weights here/,
    );
    await expect(finetune({ ...options('x'), data: at('tiles') })).rejects.toThrow(/no samples of a task/);
    const losses = { config: { loss: 'dice' } } as const;
    await expect(finetune({ ...options('x'), ...losses })).rejects.toThrow(/does not match the task/);
    await expect(finetune({ ...options('x'), data: at('masked'), linearProbe: true })).rejects.toThrow(
      /a linear probe is a classifier[\s\S]*samples for segmentation/,
    );
    rmSync(at('classify/trial-01/scores.json'));
    await expect(
      finetune(options('classify', { resume: true, config: { steps: 30, batch: 5 } })),
    ).rejects.toThrow(/started with[\s\S]*got: +batch: \d+, now 5\n/);
  });
});

test('the commands: prepare --task, then finetune', async () => {
  const columns = Object.entries(BALL_COLUMNS).flatMap(([name, text]) => ['--column', `${name}=${text}`]);
  const prepared = await p2w([
    ...['prepare', '--task', 'manifest', '--input', at('raw/table.csv'), '--size', '16x16x8', '--json'],
    ...['--out', at('cli'), '--classes', 'none,ball', ...columns],
  ]);
  expect(prepared.stderr).not.toContain('error');
  expect(lastJson(prepared)).toMatchObject({ kind: 'classification', classes: ['none', 'ball'] });
  const tuned = await p2w([
    ...[
      'finetune',
      '--data',
      at('cli'),
      '--out',
      at('cli-run'),
      '--init',
      at('pretrained'),
      '--steps',
      '3',
      '--json',
    ],
    ...['--linear-probe', '--balance', 'sampling', '--fraction', '0.5', '--set', 'batch=4'],
  ]);
  expect(tuned.code).toBe(0);
  expect(tuned.stderr).toMatch(/loaded \d+ tensors/);
  expect(lastJson(tuned)).toMatchObject({ trials: [{ seed: 1, step: 3 }], testSamples: 8 });
  // All that it was trained on, however many of them an epoch has.
  const { state } = loadCheckpoint(checkpointPath(at('cli-run/trial-01'), 'last'));
  expect(state.samples).toBe(lastJson(tuned).trainingSamples);
});
