/** Fine-tuning that begins from an encoder: of a run, exported, or of another make. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { exportModel } from '../../src/commands/export.js';
import { exportTarget } from '../../src/commands/export-target.js';
import { finetune } from '../../src/commands/finetune.js';
import { openSampleStore, readSample } from '../../src/data/samples/store.js';
import { UserError } from '../../src/errors.js';
import { openEncoder } from '../../src/inference/encoder.js';
import { externalFeatures } from '../../src/inference/external-encoder.js';
import { checkpointPath, loadCheckpoint } from '../../src/runs/checkpoint.js';
import { readMetrics } from '../../src/runs/metrics.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { relativeError } from '../graphs/run.js';
import { prepareBalls, pretrainOnTiles, trainingsIn } from './finetune-balls.js';

const folder = temporaryFolder();
const { at, options, segment } = trainingsIn(folder);

beforeAll(async () => {
  await prepareBalls(folder);
  await pretrainOnTiles(folder);
});

describe('finetune', () => {
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
});
