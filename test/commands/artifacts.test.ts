import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../graphs/ort-training/checkpoint.js';
import { type ArtifactsOptions, writeArtifacts } from '../../src/commands/artifacts.js';
import { importArtifacts } from '../../src/commands/artifacts-import.js';
import type { ArtifactsManifest } from '../../src/commands/artifacts-manifest.js';
import { sourceOf } from '../../src/commands/artifacts-source.js';
import { exportModel } from '../../src/commands/export.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { verify } from '../../src/commands/verify.js';
import { fromSettings } from '../../src/config/settings.js';
import { checkpointPath, loadCheckpoint } from '../../src/runs/checkpoint.js';
import { readMetrics } from '../../src/runs/metrics.js';
import type { EngineTensor } from '../../src/runtime/engine.js';
import { wasmTrainingSession } from '../../src/runtime/web-node.js';
import { noiseVolume, sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { noise } from '../graphs/run.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SETTINGS = ['whole=16x8x8', 'network.levels=2', 'network.width=2', 'batch=4', 'threads=1', 'workers=0'];
const manifestOf = (name: string) =>
  JSON.parse(readFileSync(at(`${name}/manifest.json`), 'utf8')) as ArtifactsManifest;
const file = (name: string) => new Uint8Array(readFileSync(at(name)));

beforeAll(async () => {
  await sampleStore(at('tiles'));
  await pretrain({
    data: at('tiles'),
    out: at('run'),
    config: fromSettings([...SETTINGS, 'validation.every=10'], { steps: 3 }),
  });
});

/** Runs a training step on artifacts, on zeros and ones. */
async function trainOnce(name: string, steps: number): Promise<number[]> {
  const { inputs } = manifestOf(name);
  const session = await wasmTrainingSession({
    training: file(`${name}/training_model.onnx`),
    evaluation: file(`${name}/eval_model.onnx`),
    optimizer: file(`${name}/optimizer_model.onnx`),
    checkpoint: file(`${name}/checkpoint`),
  });
  const feeds = Object.fromEntries(
    inputs.map(({ name: input, type, shape }): [string, EngineTensor] => {
      const count = sizeOf(shape);
      const wave = noise(count, 5, 500);
      const data =
        type === 'int16'
          ? Int16Array.from(wave)
          : type === 'uint8'
            ? Uint8Array.from(wave, (v) => (v > 0 ? 1 : 0))
            : type === 'int32'
              ? Int32Array.from(wave, (_, i) => i % 3)
              : Float32Array.from(wave, (_, i) => (input === 'sample_weight' ? 1 : i % 2));
      return [input, { type: type as 'float32', shape, data }];
    }),
  );
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    losses.push((await session.accumulate(feeds)).loss!.data[0] as number);
    await session.update();
  }
  losses.push((await session.evaluate(feeds)).loss!.data[0] as number);
  await session.release();
  return losses;
}

describe('artifacts', () => {
  test('have the preset that the configuration names, as a pre-training has', () => {
    expect(sourceOf({ preset: 'tiny', config: { preset: 'small' } }).config.network.width).toBe(16);
  });

  test('have the preset of the command line, whatever its file says, as a pre-training has', async () => {
    writeFileSync(at('tiny.json'), '{"preset":"tiny"}');
    const [preset, config] = [
      ['--preset', 'small'],
      ['--config', at('tiny.json')],
    ] as const;
    const { code, stderr } = await p2wHere(['artifacts', ...preset, ...config, '--out', at('of-line')]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(manifestOf('of-line').run).toMatchObject({ preset: 'small', network: { width: 16 } });
  });

  test('of preset tiny are the four files, a manifest and calls in every language', async () => {
    const summary = await writeArtifacts({
      preset: 'tiny',
      config: { network: { width: 2 }, batch: 2 },
      out: at('tiny'),
    });
    expect(summary).toMatchObject({ task: 'pretrain', step: 0 });
    for (const name of ['training_model', 'eval_model', 'optimizer_model', 'weights_model'])
      expect(decodeModel(file(`tiny/${name}.onnx`)).graph.nodes.length).toBeGreaterThan(0);
    const { inputs, parameters } = manifestOf('tiny');
    expect(inputs.map(({ name }) => name)).toEqual([
      'tile',
      'part_depth',
      'part_height',
      'part_width',
      'part_box',
    ]);
    const { trainable, frozen } = decodeCheckpoint(file('tiny/checkpoint'));
    expect(trainable.length + frozen.length).toBe(parameters.length);
    const readme = readFileSync(at('tiny/README.md'), 'utf8');
    for (const language of ['Python', 'C++', 'C#', 'Java', 'Swift', 'JavaScript'])
      expect(readme).toContain(`\n${language}`);
    expect(readme).not.toContain('undefined');
  });

  test.each([
    ['classify', ['a', 'b']],
    ['classify', ['a', 'b', 'c']],
    ['segment', ['a']],
  ] as const)('train to %s %s, from a pre-trained encoder', async (task, classes) => {
    const name = `${task}-${classes.length}`;
    await writeArtifacts({
      run: at('run'),
      task,
      classes,
      config: { batch: 4, ...(task === 'classify' && { hidden: 4 }) },
      out: at(name),
    });
    const encoder = loadCheckpoint(checkpointPath(at('run'), 'best')).tensors.get('encoder.0.conv1.weight')!;
    const { trainable } = decodeCheckpoint(file(`${name}/checkpoint`));
    expect(trainable.find((t) => t.name === 'encoder.0.conv1.weight')!.data).toEqual(encoder.data);
    const losses = await trainOnce(name, 8);
    expect(losses.at(-2)!).toBeLessThan(losses[0]!);
  });

  test('bring a run back as it was, with the moments of its optimiser', async () => {
    await writeArtifacts({ run: at('run'), out: at('round') });
    const summary = await importArtifacts({ artifacts: at('round'), out: at('back') });
    expect(summary).toEqual({ run: at('back'), task: 'pretrain', step: 3 });
    const [before, after] = ['run', 'back'].map((name) => loadCheckpoint(checkpointPath(at(name), 'last')));
    expect([...after!.tensors.keys()].sort()).toEqual([...before!.tensors.keys()].sort());
    for (const [name, { data }] of before!.tensors) expect(after!.tensors.get(name)!.data).toEqual(data);
    // It goes on where it was: on the same data, for more steps.
    const resumed = await pretrain({ out: at('back'), resume: true, config: { steps: 4 } });
    expect(resumed).toMatchObject({ from: 3, step: 4 });
    // What it had learnt before counts among the best.
    const validated = readMetrics(at('back/metrics.jsonl')).flatMap(({ step, validationLoss }) =>
      typeof validationLoss === 'number' ? [{ step, validationLoss }] : [],
    );
    expect(validated[0]!.step).toBe(3);
    const [best] = validated.toSorted((a, b) => a.validationLoss - b.validationLoss);
    expect(resumed.best).toMatchObject(best!);
  });

  test('bring an exported model back with other weights, which verifies', async () => {
    await exportModel({ run: at('run'), out: at('exported') });
    const model = at('exported/encoder.onnx');
    await writeArtifacts({
      ...{ model, inputSizes: { hu: [2, 8, 8, 16] }, output: 'features', out: at('on device') },
      loss: 'meanSquaredError',
    });
    const { trainable, ...others } = decodeCheckpoint(file('on device/checkpoint'));
    const scaled = trainable.map((tensor) => ({ ...tensor, data: tensor.data.map((value) => 1.5 * value) }));
    writeFileSync(at('scaled'), encodeCheckpoint({ ...others, trainable: scaled }));
    const { run } = await importArtifacts({
      ...{ artifacts: at('on device'), checkpoint: at('scaled'), out: at('trained') },
    });
    expect(run).toBe(at('trained/encoder.onnx'));
    const selfTest = (path: string) => JSON.parse(decodeModel(readFileSync(path)).metadata.self_test!);
    expect(selfTest(run).outputs).not.toEqual(selfTest(model).outputs);
    expect(await verify(run)).toMatchObject({ ok: true, problem: '' });
  });

  test('take images as the encoder was trained on', async () => {
    const settings = [...SETTINGS, 'normalise=zscore', 'window.low=-2000', 'window.high=4000'];
    await sampleStore(at('deviations'), noiseVolume, { normalise: 'zscore' });
    await pretrain({ data: at('deviations'), out: at('mr'), config: fromSettings(settings, { steps: 1 }) });
    await writeArtifacts({ run: at('mr'), task: 'segment', out: at('mr target') });
    expect(manifestOf('mr target').run).toMatchObject({
      format: { type: 'float32', window: { low: -2, high: 4 } },
    });
    await writeArtifacts({ run: at('mr'), out: at('mr on') });
    expect(readFileSync(at('mr on/README.md'), 'utf8')).toContain('in thousandths of a standard deviation');
  });

  test('refuse min–max values with a window of their own, which samples do not have', async () => {
    await sampleStore(at('shares'), noiseVolume, { normalise: 'minmax' });
    const config = fromSettings([...SETTINGS, 'normalise=minmax', 'window.low=0', 'window.high=800'], {
      steps: 1,
    });
    await pretrain({ data: at('shares'), out: at('grey'), config });
    await expect(writeArtifacts({ run: at('grey'), task: 'classify', out: at('refused') })).rejects.toThrow(
      /no window of their own[\s\S]*from 0 to 800/,
    );
  });

  test('say how the learning rate goes: as in the configuration, but for a rate of the encoder', async () => {
    const size: ArtifactsOptions['size'] = [16, 16, 8];
    const config = { network: { width: 2, levels: 1 }, schedule: { warmup: 7 }, encoderRate: 0.1 };
    const of = { task: 'classify' as const, classes: ['no', 'yes'], channels: 1, size };
    await writeArtifacts({ ...of, out: at('slow'), config: { ...config, hidden: 2, batch: 2 } });
    const readme = readFileSync(at('slow/README.md'), 'utf8');
    expect(manifestOf('slow').schedule).toEqual({ learningRate: 0.001, warmup: 7, decayTo: null });
    expect(readme).toContain(
      'learning rate 0.001, rising from 0 over the first 7 updates, also for the encoder',
    );
  });

  test('replace nothing that is there, unless told to', async () => {
    mkdirSync(at('taken'));
    writeFileSync(at('taken/checkpoint'), 'trained for weeks');
    const options = { preset: 'tiny', config: { network: { width: 2 } }, out: at('taken') } as const;
    await expect(writeArtifacts(options)).rejects.toThrow(
      /would be replaced[\s\S]*checkpoint[\s\S]*--overwrite/,
    );
    expect(readFileSync(at('taken/checkpoint'), 'utf8')).toBe('trained for weeks');
    await writeArtifacts({ ...options, overwrite: true });
    const { run, ...manifest } = manifestOf('taken');
    writeFileSync(
      at('taken/manifest.json'),
      JSON.stringify({ ...manifest, run: { ...run, tile: undefined } }),
    );
    await expect(importArtifacts({ artifacts: at('taken'), out: at('none') })).rejects.toThrow(
      /manifest of the artifacts is damaged/,
    );
  });

  test('name what is wrong with a checkpoint, and make no run of it', async () => {
    await writeArtifacts({ run: at('run'), out: at('wrong') });
    const attempt = (content: Uint8Array) => {
      writeFileSync(at('other'), content);
      return importArtifacts({ artifacts: at('wrong'), checkpoint: at('other'), out: at('none') });
    };
    const whole = decodeCheckpoint(file('wrong/checkpoint'));
    await expect(attempt(file('wrong/checkpoint').subarray(0, 1000))).rejects.toThrow(
      /points beyond its end/,
    );
    await expect(attempt(encodeCheckpoint({ ...whole, frozen: [] }))).rejects.toThrow(
      /belongs to a different network[\s\S]*running_mean is missing/,
    );
    await expect(attempt(Uint8Array.of(1))).rejects.toThrow(/not an ONNX Runtime checkpoint/);
    await expect(importArtifacts({ artifacts: at('nowhere'), out: at('none') })).rejects.toThrow(/nowhere/);
    expect(existsSync(at('none/config.json'))).toBe(false);
    await expect(importArtifacts({ artifacts: at('wrong'), out: at('run') })).rejects.toThrow(
      /this folder already contains a run/,
    );
  });

  test.each<[Partial<ArtifactsOptions>, RegExp]>([
    [{ config: { optimizer: { name: 'sgd', momentum: 0.9 } } }, /SGD has no momentum[\s\S]*--optimizer sgd/],
    [{ config: { optimizer: { weightDecay: 0.1 } } }, /weight decay differs from Adam’s/],
    [{ classes: ['a', 'b'] }, /--classes cannot be used with pre-training/],
    [{ channels: 2, size: [16, 16, 8] }, /--channels and --size cannot be used with pre-training/],
    [{ run: 'some-run' }, /--preset cannot be used with --run/],
    [{ warmup: 10, decayTo: 5 }, /cannot fall to 0 before the warm-up ends/],
    [{ warmup: -3 }, /--warmup: this must be an integer of at least 0/],
    [{ task: 'classify' as const, classes: ['lung'] }, /classes: classification needs at least two classes/],
    [{ task: 'segment' as const, classes: ['lung', 'lung'] }, /classes: two classes have the same name/],
  ])('refuse %j, saying why', async (options, message) => {
    await expect(writeArtifacts({ preset: 'tiny', ...options, out: at('refused') })).rejects.toThrow(message);
    expect(existsSync(at('refused'))).toBe(false);
  });

  test('refuse another task than that of a fine-tuning run', async () => {
    await importArtifacts({ artifacts: at('segment-1'), out: at('segmenter') });
    await expect(
      writeArtifacts({ run: at('segmenter'), task: 'classify', out: at('refused') }),
    ).rejects.toThrow(/trained for a different task[\s\S]*segment/);
    const settled = { run: at('segmenter'), classes: ['lung'], config: { batch: 2 }, out: at('refused') };
    await expect(writeArtifacts(settled)).rejects.toThrow(
      /--classes and --set cannot be used with a run that/,
    );
  });
});
