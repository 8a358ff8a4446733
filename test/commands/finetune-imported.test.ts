import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeModel } from '../../graphs/onnx/schema.js';
import type { Tensor } from '../../graphs/onnx/types.js';
import { classify } from '../../src/commands/classify.js';
import { exportTarget } from '../../src/commands/export-target.js';
import { type FinetuneOptions, finetune } from '../../src/commands/finetune.js';
import { formatInspection, inspect } from '../../src/commands/inspect.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { makeTargetReport } from '../../src/commands/report-target.js';
import { segment } from '../../src/commands/segment.js';
import { verify } from '../../src/commands/verify.js';
import { fromSettings } from '../../src/config/settings.js';
import { readVolume } from '../../src/data/scan/index.js';
import { checkpointPath, loadCheckpoint } from '../../src/runs/checkpoint.js';
import { readMetrics } from '../../src/runs/metrics.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { openServedModel } from '../../src/serve/worker/models.js';
import { BALL_COLUMNS, writeBalls } from '../data/samples/labelled-data.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { importCase } from '../graphs/imported/golden.js';
import { writePretrained } from '../inference/models.js';
import { besideOf, convolutionalNetwork, type NetworkOptions } from './foreign-models.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SETTINGS = [
  'batch=6',
  'threads=1',
  'workers=0',
  'validation.every=10',
  'checkpoints.every=7',
  'forms=fast',
];

const write = (name: string, bytes: Uint8Array): string => {
  writeFileSync(at(name), bytes);
  return at(name);
};
const network = (name: string, options: Partial<NetworkOptions> = {}) =>
  write(`${name}.onnx`, convolutionalNetwork({ classes: 5, ...options }));

const options = (
  out: string,
  init: string,
  config: FinetuneOptions['config'] = {},
  more: Partial<FinetuneOptions> = {},
): FinetuneOptions => ({
  ...{ data: at('classified'), out: at(out), init },
  ...more,
  config: fromSettings(SETTINGS, { steps: 12, ...config }),
});

const trainedOf = (out: string, checkpoint: 'best' | 'last' = 'last') =>
  loadCheckpoint(checkpointPath(at(`${out}/trial-01`), checkpoint)).tensors;

const bytesOf = (tensor: Tensor | undefined) => [...(tensor!.data as Float32Array)];

/** Columns of a table by its first one. */
const rows = (path: string, columns: readonly number[]) =>
  new Map(
    readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => line.split(','))
      .map((cells) => [cells[0]!, columns.map((i) => Number(cells[i]))] as const),
  );

/** An export is verified, and says of the test scans what the run said of their samples. */
async function classifiesAsTheRun(out: string, model: string, digits = 4, scans = 'raw'): Promise<void> {
  expect(await verify(model)).toMatchObject({ ok: true, problem: '' });
  const expected = rows(at(`${out}/trial-01/predictions.csv`), [3, 4]);
  await classify({ model, input: [at(`${scans}/images`)], out: at(`${out}.csv`), threads: 1 });
  const found = rows(at(`${out}.csv`), [5, 6]);
  for (const [id, values] of expected)
    for (const [i, value] of values.entries())
      expect(found.get(id)![i], `${out} ${id}`).toBeCloseTo(value, digits);
  expect(expected.size).toBeGreaterThan(3);
}

/** The same for a segmenter of balls. */
async function segmentsAsTheRun(out: string, model: string): Promise<void> {
  expect(await verify(model)).toMatchObject({ ok: true, problem: '' });
  await segment({ model, input: [at('small/images')], out: at(`${out} masks`), threads: 1 });
  for (const [id, [dice]] of rows(at(`${out}/trial-01/predictions.csv`), [5])) {
    const [mask, truth] = await Promise.all([
      readVolume(at(`${out} masks/masks/${id}.nii.gz`)),
      readVolume(at(`small/labels/${id}.nii.gz`)),
    ]);
    const count = (of: (i: number) => unknown) => mask.voxels.filter((_, i) => of(i)).length;
    const both = count((i) => mask.voxels[i]! * truth.voxels[i]!);
    const each = count((i) => mask.voxels[i]) + count((i) => truth.voxels[i]);
    expect((2 * both) / each, `${out} ${id}`).toBeCloseTo(dice!, 4);
  }
}

beforeAll(async () => {
  await writeBalls(at('raw'), { patients: 16, each: 2, size: [16, 16, 8] });
  await writeBalls(at('small'), { patients: 6, each: 2, size: [8, 6, 8] });
  await writeBalls(at('flat'), { patients: 16, each: 2, size: [8, 8, 1] });
  const common = { task: 'manifest' } as const;
  const classified = { ...common, columns: BALL_COLUMNS, classes: ['none', 'ball'] };
  await prepareSamples({
    ...{ ...classified, input: at('raw/table.csv'), out: at('classified'), size: [16, 16, 8] },
  });
  await prepareSamples({
    ...{ ...classified, input: at('flat/table.csv'), out: at('slices'), size: [8, 8, 1] },
  });
  await prepareSamples({
    ...{ ...common, input: at('small'), out: at('masked'), size: [8, 6, 8], classes: ['ball'] },
  });
});

describe('an ONNX model is fine-tuned', () => {
  test('all of it, with a new head, until it sees balls', async () => {
    const init = network('whole');
    const summary = await finetune(options('whole', init, { steps: 60, learningRate: 0.01 }));
    expect(summary.mean.auc).toBeGreaterThan(0.9);
    const { initializers } = decodeModel(readFileSync(init)).graph;
    const trained = trainedOf('whole');
    for (const name of [
      'stem.weight',
      'norm.weight',
      'norm.bias',
      'norm.mean',
      'norm.variance',
      'layer1.weight',
    ])
      expect(bytesOf(trained.get(name) as Tensor), name).not.toEqual(bytesOf(initializers.get(name)));
    expect([...trained.keys()]).toContain('classifier.output.weight');
    expect([...trained.keys()]).not.toContain('fc.weight');
    const report = JSON.parse(readFileSync(at('whole/trial-01/loaded.json'), 'utf8'));
    expect(report.trained.map(({ name }: { name: string }) => name)).toContain('stem.weight');
  });

  test('and goes on after an interruption with the same bytes, Dropout included', async () => {
    const init = network('exact');
    await finetune(options('exact', init));
    let asked = 0;
    const halted = await finetune(
      options('halted', init, { workers: 1 }, { interrupted: () => ++asked > 1 }),
    );
    expect(halted.interrupted).toBe(true);
    await finetune(options('halted', init, { workers: 1 }, { resume: true }));
    const results = (out: string) => {
      const run = at(`${out}/trial-01`);
      const weights = readdirSync(join(run, 'checkpoints')).map((file) => join('checkpoints', file));
      const files = ['metrics.jsonl', 'scores.json', 'predictions.csv', ...weights];
      return Object.fromEntries(files.map((file) => [file, readFileSync(join(run, file), 'latin1')]));
    };
    expect(results('halted')).toEqual(results('exact'));
    // Masks differ from step to step and from seed to seed.
    const other = { ...options('other', init), seed: 2 };
    await finetune(other);
    expect(trainedOf('other').get('stem.weight')).not.toEqual(trainedOf('exact').get('stem.weight'));
  });

  test('in micro-batches, and in mixed precision', async () => {
    const init = network('parts');
    await finetune(options('parts', init, { microBatch: 2, steps: 2 }));
    expect([...trainedOf('parts').get('stem.weight')!.data].every(Number.isFinite)).toBe(true);
    await finetune(options('mixed', init, { precision: 'amp', steps: 3 }));
    expect([...trainedOf('mixed').get('stem.weight')!.data].every(Number.isFinite)).toBe(true);
  });

  test('more slowly than its new head', async () => {
    const init = network('slow');
    await finetune(options('slow', init, { encoderRate: 1e-9, steps: 3 }));
    const { initializers } = decodeModel(readFileSync(init)).graph;
    const trained = trainedOf('slow');
    const farthest = (name: string, start: readonly number[]) =>
      bytesOf(trained.get(name) as Tensor).reduce((most, v, i) => Math.max(most, Math.abs(v - start[i]!)), 0);
    for (const name of ['stem.weight', 'norm.bias', 'layer1.weight'])
      expect(farthest(name, bytesOf(initializers.get(name))), name).toBeLessThan(1e-9);
    // It begins with zeros.
    const bias = bytesOf(trained.get('classifier.output.bias') as Tensor);
    expect(Math.max(...bias.map(Math.abs))).toBeGreaterThan(1e-4);
  });

  test('but for the weights that are frozen, with their running statistics', async () => {
    const init = network('frozen');
    await finetune(options('frozen', init, { model: { freeze: ['stem*', 'norm.*'] }, steps: 3 }));
    const { initializers } = decodeModel(readFileSync(init)).graph;
    const trained = trainedOf('frozen');
    for (const name of ['stem.weight', 'norm.weight', 'norm.bias', 'norm.mean', 'norm.variance'])
      expect(bytesOf(trained.get(name) as Tensor), name).toEqual(bytesOf(initializers.get(name)));
    expect(bytesOf(trained.get('layer1.weight') as Tensor)).not.toEqual(
      bytesOf(initializers.get('layer1.weight')),
    );
    await expect(finetune(options('x', init, { model: { freeze: ['stem*', 'conv9*'] } }))).rejects.toThrow(
      /--freeze conv9\*: no weight of this model[\s\S]*norm\.weight/,
    );
  });

  test.each([
    ['logits of two classes', { classes: 2 }],
    ['their softmax', { classes: 2, activation: 'Softmax' }],
    ['one logit', { classes: 1 }],
  ] as const)('with its own output: %s', async (name, more) => {
    const init = network(`kept ${name}`, more);
    const { mean } = await finetune(
      options(`kept ${name}`, init, { steps: 60, learningRate: 0.01, model: { head: 'keep' } }),
    );
    expect(mean.auc).toBeGreaterThan(0.8);
    expect([...trainedOf(`kept ${name}`).keys()]).toContain('fc.weight');
    expect([...trainedOf(`kept ${name}`).keys()].some((key) => key.startsWith('classifier.'))).toBe(false);
    const { model } = await exportTarget({ run: at(`kept ${name}/trial-01`), out: at(`kept ${name} out`) });
    await classifiesAsTheRun(`kept ${name}`, model);
  });

  test('as a segmenter, from PyTorch, with its own output and with a new last convolution', async () => {
    const init = write('decoder.onnx', importCase('decoder legacy').bytes);
    const masked = { data: at('masked') };
    const config = { batch: 2, steps: 4, validation: { every: 2 } };
    const kept = await finetune(options('decoder', init, { ...config, model: { head: 'keep' } }, masked));
    expect(kept.mean['dice@0.5']).toBeGreaterThanOrEqual(0);
    await finetune(options('new decoder', init, config, masked));
    expect(trainedOf('new decoder').get('segmenter.output.weight')!.shape).toHaveLength(5);
    for (const out of ['decoder', 'new decoder']) {
      const { model } = await exportTarget({ run: at(`${out}/trial-01`), out: at(`${out} out`) });
      // Its sizes are fixed.
      expect(decodeModel(readFileSync(model)).metadata.size_multiple).toBe('8x6x8');
      await segmentsAsTheRun(out, model);
      const { report } = await makeTargetReport({ run: at(`${out}/trial-01`) });
      expect(readFileSync(report, 'utf8')).toContain('<img src="data:image/png');
    }
  });

  test('on slices, where it is a network of two dimensions', async () => {
    const init = write('transformer.onnx', importCase('transformer dynamo dynamic').bytes);
    const config = { batch: 4, steps: 4, validation: { every: 2 } };
    const { mean } = await finetune(options('transformer', init, config, { data: at('slices') }));
    expect(mean.auc).toBeGreaterThanOrEqual(0);
    const { model, error } = await exportTarget({
      run: at('transformer/trial-01'),
      out: at('transformer out'),
    });
    expect(error).toBeLessThan(1e-4);
    expect(decodeModel(readFileSync(model)).graph.inputs[0]!.shape).toEqual(['batch', 1, 8, 8]);
    await classifiesAsTheRun('transformer', model, 4, 'flat');
  });

  test('of several channels, on samples of one', async () => {
    const init = network('rgb', { channels: 3 });
    await finetune(options('rgb', init, { steps: 2 }));
    expect(trainedOf('rgb').get('stem.weight')!.shape).toEqual([4, 3, 3, 3, 3]);
  });
});

describe('its export', () => {
  test('is the original file with other weights and a new head', async () => {
    await finetune(options('exported', network('exported'), { steps: 3 }));
    const { model, error, card } = await exportTarget({
      run: at('exported/trial-01'),
      out: at('exported out'),
    });
    expect(error).toBeLessThan(1e-4);
    const { graph, metadata, producer, opsets } = decodeModel(readFileSync(model));
    expect(graph.inputs).toMatchObject([{ name: 'scan', shape: ['N', 1, 'D', 'H', 'W'] }]);
    expect(graph.outputs).toMatchObject([{ name: 'probabilities', shape: ['N', 2] }]);
    expect(producer.name).toBe('pytorch');
    expect(opsets).toEqual({ '': 17 });
    expect(metadata).toMatchObject({
      ...{ author: 'somebody', classes: '["none","ball"]', size_multiple: '1x1x1' },
      preprocessing: 'outside the model: clipped to [-1000, 1000], (value + 1000) · 0.0005',
    });
    expect([...graph.initializers.keys()]).not.toContain('fc.weight');
    expect(graph.initializers.get('stem.weight')!.data).toEqual(
      trainedOf('exported', 'best').get('stem.weight')!.data,
    );
    expect(readFileSync(card, 'utf8')).toMatch(
      /clipped to \[-1000, 1000\][\s\S]*16×16×8 voxels \(x×y×z\) of 1×1×1 mm[\s\S]*p2w classify/,
    );
    expect(readFileSync(card, 'utf8')).toMatch(
      /\| training samples \| \d+ of \d+ patients \|[\s\S]*best checkpoint on \d+ test samples of \d+ patients/,
    );

    // It says of whole scans what the run said of the samples that were cut from them.
    await classifiesAsTheRun('exported', model);
    // The self-test fills no screens.
    expect(formatInspection(await inspect(model)).length).toBeLessThan(5000);
    const served = await openServedModel(
      { name: 'classifier', path: model, kind: undefined },
      { engine: nodeEngine, threads: 1, batch: 2, onBatch: () => {} },
    );
    expect(served.facts).toMatchObject({
      kind: 'classifier',
      classes: ['none', 'ball'],
      window: [16, 16, 8],
    });
    expect(served.facts.selfTestError).toBeLessThan(1e-4);
    await served.image.release();
  });

  test('with its own head has its own outputs', async () => {
    const init = network('own', { classes: 2, activation: 'Softmax' });
    await finetune(options('own', init, { steps: 3, model: { head: 'keep' } }));
    const { model } = await exportTarget({ run: at('own/trial-01'), out: at('own out') });
    const { graph } = decodeModel(readFileSync(model));
    const original = decodeModel(readFileSync(init)).graph;
    expect(graph.nodes).toEqual(original.nodes);
    expect(graph.outputs).toEqual(original.outputs);
    expect([...graph.initializers.keys()]).toEqual([...original.initializers.keys()]);
  });

  test('with the head at a value inside has that as an output too', async () => {
    const init = network('inner', { classes: 2, activation: 'Softmax' });
    await finetune(options('inner', init, { steps: 3, model: { head: 'keep', output: 'logits' } }));
    const { model, triton } = await exportTarget({
      ...{ run: at('inner/trial-01'), out: at('inner out'), triton: at('triton') },
    });
    const { graph } = decodeModel(readFileSync(model));
    expect(graph.outputs.map(({ name }) => name)).toEqual(['probabilities', 'logits']);
    expect(readFileSync(`${triton}/1/model.onnx`)).toEqual(readFileSync(model));
    expect(readFileSync(`${triton}/config.pbtxt`, 'utf8')).toMatch(
      /name: "logits"\s+data_type: TYPE_FP32\s+dims: \[ 2 \]\s+label_filename/,
    );
    await classifiesAsTheRun('inner', model);
  });

  test('of a model in half precision is in half precision', async () => {
    await finetune(options('half', network('half', { type: 'float16' }), { steps: 2 }));
    const { model, error } = await exportTarget({ run: at('half/trial-01'), out: at('half out') });
    expect(error).toBeLessThan(1e-2);
    const { graph } = decodeModel(readFileSync(model));
    expect(graph.inputs[0]!.type).toBe('float16');
    expect(graph.initializers.get('stem.weight')!.type).toBe('float16');
    await classifiesAsTheRun('half', model, 2);
    // As a source of features it takes single precision too.
    const { mean } = await finetune(options('half frozen', model, { frozenEncoder: true, steps: 2 }));
    expect(mean.auc).toBeGreaterThanOrEqual(0);
  });

  test('of a model whose tensors lie beside it has them in it', async () => {
    const init = network('beside', { beside: 'beside.bin' });
    write('beside.bin', besideOf(convolutionalNetwork({ classes: 5 })));
    await finetune(options('beside', init, { steps: 2 }));
    const { model, error } = await exportTarget({ run: at('beside/trial-01'), out: at('beside out') });
    expect(error).toBeLessThan(1e-4);
    expect(decodeModel(readFileSync(model)).external).toBeUndefined();
    write('beside.bin', new Uint8Array(10));
    await expect(finetune(options('x', init))).rejects.toThrow(/beyond the end of beside\.bin/);
  });

  test('can be fine-tuned again, with its own head, which is one logit behind two probabilities', async () => {
    const model = at('exported out/classifier.onnx');
    await finetune(options('again', model, { steps: 3, model: { head: 'keep' } }));
    const { model: again, error } = await exportTarget({ run: at('again/trial-01'), out: at('again out') });
    expect(error).toBeLessThan(1e-4);
    expect(decodeModel(readFileSync(again)).graph.outputs).toMatchObject([{ name: 'probabilities' }]);
    expect(trainedOf('again').get('classifier.output.weight')).not.toEqual(
      trainedOf('exported').get('classifier.output.weight'),
    );
    await classifiesAsTheRun('again', again);
  });

  test('needs the file that was trained', async () => {
    const init = network('gone');
    await finetune(options('gone', init, { steps: 4 }, { interrupted: () => true }));
    network('gone', { channels: 3 });
    await expect(exportTarget({ run: at('gone/trial-01'), out: at('x') })).rejects.toThrow(
      /not the model that was trained[\s\S]*put the original file there/,
    );
    await expect(finetune(options('gone', init, { steps: 4 }, { resume: true }))).rejects.toThrow(
      /settings it was started with[\s\S]*got: +model\.sha256: /,
    );
  });
});

describe('exports of our own', () => {
  test('a segmenter goes on with its own output, which makes the same masks', async () => {
    const common = { network: { levels: 1, width: 2 }, batch: 4, validation: { every: 2 } } as const;
    const masked = { data: at('masked') };
    await finetune(options('ours', 'random', { ...common, steps: 2 }, masked));
    const { model } = await exportTarget({ run: at('ours/trial-01'), out: at('ours out') });
    const config = { batch: 4, validation: { every: 2 }, steps: 2, model: { head: 'keep' } } as const;
    const { trials } = await finetune(options('ours again', model, config, masked));
    const before = JSON.parse(readFileSync(at('ours/trial-01/scores.json'), 'utf8'));
    const first = readMetrics(at('ours again/trial-01/metrics.jsonl')).find((m) => 'validationLoss' in m)!;
    expect(first.step).toBe(0);
    expect(first.validationLoss).toBeCloseTo(before.validationLoss, 4);
    expect(trials).toHaveLength(1);
    const { model: again } = await exportTarget({
      run: at('ours again/trial-01'),
      out: at('ours again out'),
    });
    expect(decodeModel(readFileSync(again)).metadata.size_multiple).toBe('2x2x2');
    await segmentsAsTheRun('ours again', again);
  });
});

test('an encoder of HU becomes a classifier of scans', async () => {
  writePretrained(at('encoder.onnx'), 'encoder');
  await finetune(options('of hu', at('encoder.onnx'), { steps: 3 }));
  const { model } = await exportTarget({ run: at('of hu/trial-01'), out: at('of hu out') });
  expect(decodeModel(readFileSync(model)).graph.inputs).toMatchObject([
    { name: 'hu', type: 'int16', shape: ['N', 'D', 'H', 'W'] },
  ]);
  await classifiesAsTheRun('of hu', model);
});

describe('what cannot be trained is refused before anything is written', () => {
  test.each([
    [
      'settings without a model',
      () => options('x', 'random', { model: { head: 'keep' } }),
      /are for an ONNX model/,
    ],
    [
      'a frozen model with names',
      () => options('x', network('a'), { frozenEncoder: true, model: { freeze: ['stem*'] } }),
      /frozen as a whole/,
    ],
    [
      'an output of other classes',
      () => options('x', network('b'), { model: { head: 'keep' } }),
      /output of the model is \[6,5\][\s\S]*replace its head/,
    ],
    [
      'nothing that is left to train',
      () => options('x', network('d', { classes: 2 }), { model: { freeze: ['*'], head: 'keep' } }),
      /nothing left to train/,
    ],
    [
      'a value that is not there',
      () => options('x', network('c'), { model: { output: 'nowhere' } }),
      /no value "nowhere"/,
    ],
    [
      'a fixed batch',
      () => options('x', network('e', { batch: 1 })),
      /input "scan" is \[1,1,D,H,W\][\s\S]*--set microBatch=1/,
    ],
    [
      'types that ONNX Runtime has no operators for, so that nothing could be exported',
      () => options('x', network('g', { type: 'bfloat16' })),
      /g\.onnx: ONNX Runtime cannot run this model[\s\S]*bfloat16[\s\S]*float32/,
    ],
    [
      'masks of another size',
      () => options('x', network('f'), {}, { data: at('masked') }),
      /makes maps|no features/,
    ],
  ] as const)('%s', async (_, wanted, message) => {
    await expect(finetune(wanted())).rejects.toThrow(message);
    expect(existsSync(at('x/trial-01/config.json'))).toBe(false);
  });

  test('files that are cut off, or other files, end in an error that says so', async () => {
    const whole = convolutionalNetwork({ classes: 2 });
    for (const share of [0, 0.1, 0.5, 0.9, 0.99]) {
      const init = write('cut.onnx', whole.subarray(0, Math.floor(whole.length * share)));
      for (const line of [
        ['finetune', '--data', at('classified'), '--init', init, '--out', at('cut')],
        ['inspect', init],
      ]) {
        const { code, stderr } = await p2wHere(line);
        expect(code, `${share} ${stderr}`).toBeGreaterThan(0);
        expect(stderr).toContain('cut.onnx');
        expect(stderr).not.toMatch(/\n\s+at .*\.ts:\d/);
      }
    }
  });
});
