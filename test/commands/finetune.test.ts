import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { type Classified, classify } from '../../src/commands/classify.js';
import { exportModel } from '../../src/commands/export.js';
import { exportTarget } from '../../src/commands/export-target.js';
import { type FinetuneOptions, finetune } from '../../src/commands/finetune.js';
import { formatFinetune } from '../../src/commands/finetune-summary.js';
import { inspect } from '../../src/commands/inspect.js';
import { formatPrepareSamples, prepareSamples } from '../../src/commands/prepare-samples.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { makeTargetReport } from '../../src/commands/report-target.js';
import { rowsToCsv, scorePredictions } from '../../src/commands/score-samples.js';
import { verify } from '../../src/commands/verify.js';
import { fromSettings } from '../../src/config/settings.js';
import type { SampleEntry } from '../../src/data/samples/manifest.js';
import { openSampleStore, readSample } from '../../src/data/samples/store.js';
import { UserError } from '../../src/errors.js';
import { openEncoder } from '../../src/inference/encoder.js';
import { externalFeatures } from '../../src/inference/external-encoder.js';
import { checkpointPath, loadCheckpoint } from '../../src/runs/checkpoint.js';
import { readMetrics } from '../../src/runs/metrics.js';
import { readFinetuneRun } from '../../src/runs/run.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { BALL_COLUMNS, writeBalls } from '../data/samples/labelled-data.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { relativeError } from '../graphs/run.js';
import { lastJson, p2w } from './cli.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SETTINGS = [
  'network.levels=2',
  'network.width=4',
  'network.norm.momentum=0.5',
  'batch=6',
  'threads=1',
  'workers=0',
  'hidden=8',
  'validation.every=10',
  'checkpoints.every=7',
];
const options = (out: string, more: Partial<FinetuneOptions> = {}): FinetuneOptions => ({
  data: at('classified'),
  out: at(out),
  ...more,
  config: fromSettings(SETTINGS, { steps: 30, ...more.config }),
});
const segment = (out: string, more: Partial<FinetuneOptions> = {}): FinetuneOptions => ({
  ...options(out, { ...more, config: { hidden: null, ...more.config } }),
  data: at('masked'),
});

/** All files of a trial that must not differ between two of one seed. */
function resultOf(run: string): Record<string, string> {
  const files = ['metrics.jsonl', 'scores.json', 'predictions.csv'];
  const weights = readdirSync(join(run, 'checkpoints')).map((file) => join('checkpoints', file));
  return Object.fromEntries([...files, ...weights].map((f) => [f, readFileSync(join(run, f), 'latin1')]));
}

beforeAll(async () => {
  await writeBalls(at('raw'), { patients: 16, each: 2, size: [16, 16, 8] });
  const common = { task: 'manifest', size: [16, 16, 8] } as const;
  await prepareSamples({
    ...{ ...common, input: at('raw/table.csv'), out: at('classified') },
    columns: BALL_COLUMNS,
    classes: ['none', 'ball'],
  });
  await prepareSamples({ ...common, input: at('raw'), out: at('masked'), classes: ['ball'] });
  await prepareSamples({
    ...common,
    size: [8, 16, 8],
    input: at('raw'),
    out: at('small'),
    classes: ['ball'],
  });
  await sampleStore(at('tiles'));
  await pretrain({
    data: at('tiles'),
    out: at('pretrained'),
    config: {
      whole: [16, 8, 8],
      network: { levels: 2, width: 4 },
      batch: 4,
      threads: 1,
      workers: 0,
      steps: 4,
    },
  });
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

  test('a trial whose folder is deleted while it trains is an error, and does not come back half', async () => {
    const out = join(folder, 'deleted');
    const interrupted = () => {
      rmSync(out, { recursive: true, force: true });
      return false;
    };
    await expect(finetune(options('deleted', { interrupted }))).rejects.toThrow(/this does not exist/);
    expect(existsSync(out)).toBe(false);
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

  test('a pre-trained encoder is loaded, its network taken over, and a frozen one stays as it is', async () => {
    const { trials } = await finetune({
      ...options('probe'),
      config: {
        ...{ batch: 6, threads: 1, workers: 0, validation: { every: 10 }, balance: 'weights' },
        ...{ steps: 10, frozenEncoder: true, hidden: null, init: { from: at('pretrained') }, seed: 7 },
      },
    });
    expect(trials.map(({ seed }) => seed)).toEqual([7]);
    const before = loadCheckpoint(checkpointPath(at('pretrained'), 'best')).tensors;
    const after = loadCheckpoint(checkpointPath(at('probe/trial-01'), 'last')).tensors;
    const encoder = [...after.keys()].filter((name) => name.startsWith('encoder.'));
    expect(encoder.length).toBeGreaterThan(20);
    for (const name of encoder) expect(after.get(name)).toEqual(before.get(name));
    expect([...after.keys()]).toContain('classifier.output.weight');
    expect([...after.keys()]).not.toContain('classifier.hidden.weight');
    const { loaded, missing } = JSON.parse(readFileSync(at('probe/trial-01/loaded.json'), 'utf8'));
    expect([loaded.length, missing.length]).toEqual([encoder.length, 0]);
  });

  test('an exported encoder gives the features for a classifier, which cannot be exported with it', async () => {
    const { model } = await exportModel({ run: at('pretrained'), out: at('encoder') });
    const store = openSampleStore(at('classified'));
    const { rows } = await externalFeatures(model, store, nodeEngine, 1);
    const encoder = openEncoder(model, nodeEngine, 1);
    const [x, y, z] = store.manifest.size;
    for (const sample of store.manifest.samples.slice(0, 3)) {
      const { features } = await encoder.encode(readSample(store, sample).image as Int16Array, [1, z, y, x]);
      expect(relativeError(rows.get(sample.id)!, features)).toBeLessThan(1e-5);
    }
    await encoder.release();
    const config = {
      ...{ batch: 6, threads: 1, workers: 0, validation: { every: 5 }, hidden: null, steps: 10 },
      frozenEncoder: true,
    };
    const { mean } = await finetune({ ...options('external', { init: model }), config });
    expect(mean.auc).toBeGreaterThanOrEqual(0);
    const weights = loadCheckpoint(checkpointPath(at('external/trial-01'), 'best')).tensors;
    expect([...weights.keys()].some((name) => name.startsWith('encoder.'))).toBe(false);
    await expect(exportTarget({ run: at('external/trial-01'), out: at('x') })).rejects.toThrow(
      /uses an external encoder/,
    );
  });

  test('trials of an encoder that has changed since are not taken for those of the new one', async () => {
    const run = at('pretrained');
    const path = at('changing.onnx');
    const exported = async (inputType: 'int16' | 'float32') =>
      copyFileSync((await exportModel({ run, out: at(`as-${inputType}`), inputType })).model, path);
    const config = { ...{ batch: 6, threads: 1, workers: 0, hidden: null, steps: 2 }, frozenEncoder: true };
    const study = (trials: number) =>
      finetune({ ...options('changing', { init: path }), config, trials, resume: true });
    await exported('int16');
    const first = await study(1);
    expect((await study(2)).trials[0]).toEqual(first.trials[0]);
    await exported('float32');
    await expect(study(2)).rejects.toThrow(
      /this trial is finished, but with other settings[\s\S]*init\.sha256/,
    );
  });

  test('what a classifier learns does not depend on the scale of an external encoder', async () => {
    const config = {
      ...{ batch: 6, threads: 1, workers: 0, validation: { every: 5 }, hidden: 4, steps: 10 },
      frozenEncoder: true,
    };
    const losses = async (name: string, scale: number, shift: number) => {
      const g = new GraphBuilder(name);
      const pixels = g.input('pixels', 'float32', ['N', 1, 'D', 'H', 'W']);
      const squares = g.add('Concat', [pixels, g.add('Mul', [pixels, pixels])], { axis: 1 });
      g.output('map', g.add('Add', [g.add('Mul', [squares, g.scalar(scale)]), g.scalar(shift)]));
      writeFileSync(at(`${name}.onnx`), encodeModel(toModel(g.build())));
      await finetune({ ...options(name, { init: at(`${name}.onnx`) }), config });
      return readMetrics(join(at(name), 'trial-01/metrics.jsonl')).map((m) => m.loss ?? m.validationLoss!);
    };
    const [plain, scaled] = [await losses('unscaled', 1, 0), await losses('scaled', 100, -30)];
    expect(new Set(plain).size).toBeGreaterThan(10);
    for (const [i, loss] of plain.entries()) expect(scaled[i]).toBeCloseTo(loss, 3);
  });

  test('encoders of other makes: values from 0 to 1, feature maps; what is none is refused', async () => {
    const g = new GraphBuilder('theirs');
    const input = g.input('pixels', 'float32', ['N', 1, 'D', 'H', 'W']);
    g.output('map', g.add('MaxPool', [input], { kernel_shape: [2, 2, 2], strides: [2, 2, 2] }));
    const path = at('theirs.onnx');
    writeFileSync(path, encodeModel(toModel(g.build())));
    const store = openSampleStore(at('classified'));
    const { dimensions, rows } = await externalFeatures(path, store, nodeEngine, 1);
    expect([dimensions, rows.size]).toEqual([1, 32]);
    for (const [feature] of rows.values()) expect(feature! > 0 && feature! < 1).toBe(true);
    const ball = (label: number) =>
      store.manifest.samples.filter((s) => s.label === label).map((s) => rows.get(s.id)![0]!);
    expect(Math.min(...ball(1))).toBeGreaterThan(Math.max(...ball(0)));

    const two = new GraphBuilder('two');
    two.output('sum', two.add('Add', [two.input('a', 'float32', [1]), two.input('b', 'float32', [1])]));
    writeFileSync(at('two.onnx'), encodeModel(toModel(two.build())));
    await expect(externalFeatures(at('two.onnx'), store, nodeEngine, 1)).rejects.toThrow(
      /does not take images/,
    );
    writeFileSync(at('broken.onnx'), 'no model');
    await expect(finetune(options('x', { init: at('broken.onnx') }))).rejects.toThrow(UserError);
    const frozen = { frozenEncoder: true };
    await expect(finetune(segment('x', { init: path, config: frozen }))).rejects.toThrow(
      /only be used for classification/,
    );
    const config = { ...frozen, augmentation: { flips: true } };
    await expect(finetune(options('x', { init: path, config }))).rejects.toThrow(
      /images cannot be augmented/,
    );
  });

  test('a decoder with skip connections does not fit one without, unless that is asked for', async () => {
    const init = { parts: ['encoder', 'decoder'] } as const;
    const from = { init: at('pretrained') };
    const config = { batch: 4, threads: 1, workers: 0, steps: 2, init };
    await expect(finetune({ ...segment('partial', from), config })).rejects.toThrow(
      /only some of these weights fit the network[\s\S]*decoder\.\d\.conv1\.weight/,
    );
    // No run has begun: the same folder may be used.
    const partial = { ...config, init: { ...init, partial: true } };
    await finetune({ ...segment('partial', from), config: partial });
    const report = JSON.parse(readFileSync(at('partial/trial-01/loaded.json'), 'utf8'));
    expect(report.mismatched.length).toBe(2);
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

  test('masks that are all empty are refused before anything is written, some are said', async () => {
    const lines = (splits: Readonly<Record<string, readonly number[]>>) =>
      Object.entries(splits).flatMap(([split, patients]) =>
        patients.map((i) => {
          const file = `p${String(i).padStart(2, '0')}_0.nii.gz`;
          return `images/${file},labels/${file},${split}`;
        }),
      );
    // Patients of an even number have no ball.
    for (const [name, splits, message] of [
      [
        'none',
        { train: [0, 2], validation: [1], test: [3] },
        /all masks of the train samples are empty: there is nothing to learn/,
      ],
      [
        'unseen',
        { train: [1], validation: [3], test: [0, 2] },
        /all masks of the test samples are empty: there is nothing to measure[\s\S]*2 masks with no voxel of ball/,
      ],
    ] as const) {
      writeFileSync(at(`raw/${name}.csv`), ['image,mask,split', ...lines(splits)].join('\n'));
      const common = { task: 'manifest', size: [16, 16, 8], classes: ['ball'] } as const;
      await prepareSamples({ ...common, input: at(`raw/${name}.csv`), out: at(name) });
      await expect(finetune({ ...segment(`${name}-run`), data: at(name) })).rejects.toThrow(message);
      expect(existsSync(at(`${name}-run`))).toBe(false);
    }
    const table = ['image,mask,split', ...lines({ train: [0, 1, 2, 3], validation: [5], test: [7] })];
    writeFileSync(at('raw/some.csv'), table.join('\n'));
    const prepared = await prepareSamples({
      ...{ task: 'manifest', input: at('raw/some.csv'), out: at('some'), size: [16, 16, 8] },
      classes: ['ball', 'cube'],
    });
    expect(prepared.splits.train.emptyMasks).toBe(2);
    expect(formatPrepareSamples(prepared)).toContain('train: 4 samples of 4 patients: 2 with empty masks');
    const { notes } = await finetune({ ...segment('some-run', { config: { steps: 1 } }), data: at('some') });
    expect(notes).toEqual([
      '2 of 4 masks of the train samples are empty',
      'no mask of the train samples has a voxel of cube: it cannot be learnt',
      'no mask of the validation samples has a voxel of cube: it cannot be measured',
      'no mask of the test samples has a voxel of cube: it cannot be measured',
    ]);
  });

  test('with several classes, scores are those of the mask that segment makes, in which each voxel is of one', async () => {
    const store = openSampleStore(at('some'));
    const sample = store.manifest.samples.find(({ classVoxels }) => classVoxels![0]! > 0)!;
    const voxels = 16 * 16 * 8;
    // The ball is found, but is taken for a cube.
    const { mask } = readSample(store, sample);
    const probabilities = Float32Array.from({ length: 2 * voxels }, (_, i) =>
      mask![i % voxels] === 1 ? (i < voxels ? 0.6 : 0.9) : 0,
    );
    const { scores } = await scorePredictions(
      store,
      (async function* () {
        yield { sample, probabilities, loss: 0, weight: 1 };
      })(),
      true,
    );
    expect(scores).toMatchObject({ 'dice@0.5': 0, 'iou_fg@0.5': 0, surface_dice: 0 });
    expect(scores.soft_dice).toBeGreaterThan(0);
  });

  test('what is not defined for the samples is null, a dash for people, and nothing in a table', async () => {
    const store = openSampleStore(at('masked'));
    const isEmpty = ({ classVoxels }: SampleEntry) => classVoxels![0] === 0;
    const nothing = async (samples: readonly SampleEntry[]) => {
      const probabilities = new Float32Array(16 * 16 * 8);
      const predictions = samples.map((sample) => ({ sample, probabilities, loss: 0, weight: 1 }));
      return scorePredictions(
        store,
        (async function* () {
          yield* predictions;
        })(),
        true,
      );
    };
    const { samples } = store.manifest;
    const empty = await nothing(samples.filter(isEmpty).slice(0, 2));
    expect(new Set(Object.values(empty.scores))).toEqual(new Set([null]));
    expect(Object.keys(empty.scores)).toContain('miou_genesis');
    const all = await nothing([samples.find(isEmpty)!, samples.find((sample) => !isEmpty(sample))!]);
    expect(all.scores).toMatchObject({ 'dice@0.5': 0, surface_dice: 0, hausdorff95_mm: null });
    expect(rowsToCsv(all.rows).split('\n')[1]).toMatch(/^[^,]+,[^,]+,{6,}$/);
    const summary = { out: 'o', init: 'random', trainingSamples: 1, testSamples: 1, trials: [], notes: [] };
    const text = formatFinetune({
      ...summary,
      interrupted: false,
      mean: empty.scores,
      standardDeviation: {},
    });
    expect(text).toMatch(/dice@0\.5: –\n/);
  });

  test('a test split of one class is refused: it has no AUC', async () => {
    const table = at('raw/one.csv');
    const line = (i: number, split: string, label: number) =>
      `images/p${String(i).padStart(2, '0')}_0.nii.gz,${label},${split}`;
    const lines = [0, 1, 2, 3].map((i) => line(i, i < 2 ? 'train' : 'validation', i % 2));
    writeFileSync(table, ['image,label,split', ...lines, line(4, 'test', 0)].join('\n'));
    await prepareSamples({ task: 'manifest', input: table, out: at('one'), size: [16, 16, 8] });
    await expect(finetune({ ...options('x'), data: at('one') })).rejects.toThrow(
      /all test samples belong to one class[\s\S]*no AUC/,
    );
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
