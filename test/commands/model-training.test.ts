import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../graphs/ort-training/checkpoint.js';
import { writeArtifacts } from '../../src/commands/artifacts.js';
import { importArtifacts } from '../../src/commands/artifacts-import.js';
import { makeModelGraph } from '../../src/commands/graph-imported.js';
import type { EngineTensor } from '../../src/runtime/engine.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { wasmTrainingSession } from '../../src/runtime/web-node.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { importCase } from '../graphs/imported/golden.js';
import { modelOf, node, perceptron, unranked } from '../graphs/imported/models.js';
import { noise } from '../graphs/run.js';
import { convolutionalNetwork } from './foreign-models.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const file = (name: string) => new Uint8Array(readFileSync(at(name)));
const write = (name: string, bytes: Uint8Array): string => {
  writeFileSync(at(name), bytes);
  return at(name);
};
const sizes = { scan: [2, 1, 8, 8, 8] };

describe('p2w graph --model', () => {
  test('gives PyTorch’s gradients, with the weights of the model in the file', async () => {
    const { bytes, results } = importCase('transformer dynamo dynamic');
    const x = results.get('x')!;
    const model = write('transformer.onnx', bytes);
    const line = ['graph', '--model', model, '--input-size', `x=${x.shape.join('x')}`, '--what', 'gradient'];
    const { code, stdout, stderr } = await p2wHere([...line, '--summary', '--out', at('gradient.onnx')]);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/gradient graph of .*transformer\.onnx: [\d,]+ trainable parameters/);
    const session = await nodeEngine.load(file('gradient.onnx'), { threads: 1 });
    const tensor = (name: string): EngineTensor => {
      const { shape, data } = results.get(name)!;
      return { type: 'float32', shape, data: data as Float32Array };
    };
    const samples = x.shape[0]!;
    const out = await session.run({
      x: tensor('x'),
      target: tensor('target'),
      sample_weight: { type: 'float32', shape: [samples], data: new Float32Array(samples).fill(1) },
    });
    await session.release();
    expect(out.loss!.data[0]).toBeCloseTo(results.get('loss')!.data[0] as number, 5);
    const shared = Object.keys(out).filter((key) => results.has(key.replace(':', '/')));
    expect(shared.length).toBeGreaterThan(5);
    for (const key of shared)
      for (const [i, value] of (results.get(key.replace(':', '/'))!.data as Float32Array).entries())
        expect(out[key]!.data[i]).toBeCloseTo(value, 4);
  });

  test('builds the step and the evaluation, and leaves frozen weights alone', async () => {
    const model = write('network.onnx', convolutionalNetwork({ classes: 3 }));
    const common = { model, inputSizes: sizes, loss: 'crossEntropy' } as const;
    const whole = await makeModelGraph({ ...common, what: 'step' });
    const part = await makeModelGraph({ ...common, what: 'step', freeze: ['stem*', 'norm*'] });
    const moments = ({ inputs }: typeof whole) =>
      inputs.filter(({ name }) => name.startsWith('optimizer.m.'));
    expect(moments(whole).map(({ name }) => name.slice(12))).toContain('stem.weight');
    expect(
      moments(part)
        .map(({ name }) => name.slice(12))
        .sort(),
    ).toEqual([...['fc.bias', 'fc.weight', 'layer1.bias', 'layer1.weight']]);
    const { outputs } = await makeModelGraph({ ...common, what: 'eval' });
    expect(outputs.map(({ name }) => name).sort()).toEqual(['loss', 'probabilities', 'weight']);
  });

  test.each([
    ['no sizes', [], /sizes must be fixed[\s\S]*--input-size/],
    ['a loss that is none', ['--loss', 'hinge'], /no such loss[\s\S]*crossEntropy/],
    ['an output that is none', ['--input-size', 'scan=1x1x8x8x8', '--output', 'z'], /no value "z"/],
    ['a loss that does not suit', ['--input-size', 'scan=1x1x8x8x8', '--loss', 'dice'], /dice/],
    ['sizes that are none', ['--input-size', 'scan=1xNx8'], /positive integers/],
    ['sizes of no input', ['--input-size', 'x=1x1x8x8x8'], /no input "x"/],
    ['names of no weight', ['--input-size', 'scan=1x1x8x8x8', '--freeze', 'z*'], /no weight of this model/],
    ['everything frozen', ['--input-size', 'scan=1x1x8x8x8', '--freeze', '*'], /nothing left to train/],
    ['a preset too', ['--preset', 'tiny'], /--preset cannot be used with --model/],
  ] as const)('refuses %s', async (_, more, message) => {
    const model = write('refused.onnx', convolutionalNetwork({ classes: 3 }));
    const { code, stderr } = await p2wHere(['graph', '--model', model, ...more]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
  });
});

describe('p2w artifacts --model', () => {
  test('trains on a device, with Dropout, and brings the model back', async () => {
    const model = write('device.onnx', convolutionalNetwork({ classes: 3 }));
    const line = ['artifacts', '--model', model, '--input-size', 'scan=2x1x8x8x8', '--loss', 'crossEntropy'];
    const { code, stderr } = await p2wHere([
      ...line,
      '--freeze',
      'stem*',
      '--set',
      'learningRate=0.01',
      '--out',
      at('device'),
    ]);
    expect(code, stderr).toBe(0);
    const session = await wasmTrainingSession({
      training: file('device/training_model.onnx'),
      evaluation: file('device/eval_model.onnx'),
      optimizer: file('device/optimizer_model.onnx'),
      checkpoint: file('device/checkpoint'),
    });
    const { inputs } = JSON.parse(readFileSync(at('device/manifest.json'), 'utf8'));
    const names = inputs.map(({ name }: { name: string }) => name);
    expect(names.sort()).toEqual(['dropout_seed', 'label', 'sample_weight', 'scan']);
    const batch: Record<string, EngineTensor> = {
      scan: { type: 'float32', shape: sizes.scan, data: noise(sizeOf(sizes.scan), 1) },
      label: { type: 'int32', shape: [2], data: Int32Array.of(0, 2) },
      sample_weight: { type: 'float32', shape: [2], data: Float32Array.of(1, 1) },
    };
    const first = (await session.evaluate(batch)).loss!.data[0] as number;
    for (let step = 0; step < 8; step++) {
      const seed = { type: 'int64', shape: [], data: BigInt64Array.of(BigInt(step)) } as const;
      await session.accumulate({ ...batch, dropout_seed: seed });
      await session.update();
    }
    expect((await session.evaluate(batch)).loss!.data[0] as number).toBeLessThan(first);
    await session.release();
  });

  test('a checkpoint becomes the model with other weights', async () => {
    const model = write('round.onnx', convolutionalNetwork({ classes: 3 }));
    await writeArtifacts({ model, inputSizes: sizes, loss: 'crossEntropy', out: at('round') });
    const found = decodeCheckpoint(file('round/checkpoint'));
    const trainable = found.trainable.map((t) =>
      t.name === 'fc.bias' ? { ...t, data: Float32Array.of(7, 8, 9) } : t,
    );
    write('checkpoint', encodeCheckpoint({ ...found, trainable }));
    const { run } = await importArtifacts({
      ...{ artifacts: at('round'), checkpoint: at('checkpoint'), out: at('round trained') },
    });
    const [before, after] = [model, run].map((path) => decodeModel(readFileSync(path)).graph);
    expect(after!.nodes).toEqual(before!.nodes);
    expect([...after!.initializers.get('fc.bias')!.data]).toEqual([7, 8, 9]);
    expect(after!.initializers.get('stem.weight')).toEqual(before!.initializers.get('stem.weight'));
    await expect(importArtifacts({ artifacts: at('round'), out: at('round trained') })).rejects.toThrow(
      /a model of this name already/,
    );
    write('round.onnx', convolutionalNetwork({ classes: 2 }));
    await expect(importArtifacts({ artifacts: at('round'), out: at('other') })).rejects.toThrow(
      /not the model that was trained/,
    );
  });
});

describe('p2w inspect', () => {
  const factsOf = async (path: string, ...more: string[]) => {
    const { stdout, stderr } = await p2wHere(['inspect', path, ...more, '--json']);
    expect(stderr).toBe('');
    return JSON.parse(stdout).facts.training;
  };

  test('says what of a model is trained, for sizes of its own or given ones', async () => {
    const model = write('inspected.onnx', convolutionalNetwork({ classes: 3 }));
    const facts = await factsOf(model);
    expect(facts).toMatchObject({ canBeTrained: 'yes', checkedFor: { scan: '[1,1,32,32,32]' } });
    expect(facts.trained).toMatchObject({ 'stem.weight': '[4,1,3,3,3], Conv', 'fc.weight': '[3,6], Gemm' });
    expect(Object.keys(facts.runningStatistics)).toEqual(['norm.mean', 'norm.variance']);
    const given = await factsOf(model, '--input-size', 'scan=2x1x8x8x8');
    expect(given.checkedFor).toEqual({ scan: '[2,1,8,8,8]' });
    const wrong = await factsOf(model, '--input-size', 'scan=2x4x8x8x8');
    expect(wrong).toMatchObject({ canBeTrained: 'no', why: expect.stringContaining('does not suit') });
  });

  test('tries no sizes of an input whose axes the file does not count', async () => {
    const model = write('unranked.onnx', unranked(perceptron, 'x'));
    const { stdout } = await p2wHere(['inspect', model, '--json']);
    expect(JSON.parse(stdout).facts).toMatchObject({
      inputs: { x: 'float32 of any shape' },
      training: { canBeTrained: 'no', why: expect.stringContaining('open: x of any shape') },
    });
    expect(await factsOf(model, '--input-size', 'x=2x3')).toMatchObject({ canBeTrained: 'yes' });
  });

  test('lists everything that is missing at once, and what exporters have merged', async () => {
    const merged = await factsOf(write('merged.onnx', importCase('merged legacy').bytes));
    expect(Object.keys(merged.splitAgain).length).toBeGreaterThan(0);
    const bad = modelOf({
      ...perceptron,
      nodes: [
        node('Foo', ['x'], ['a'], {}, 'com.example'),
        node('QLinearThing', ['a'], ['b']),
        node('Gemm', ['b', 'first.weight', 'first.bias'], ['y']),
      ],
    });
    const facts = await factsOf(write('bad.onnx', bad));
    expect(facts.canBeTrained).toBe('no');
    expect(Object.keys(facts.missing).join()).toMatch(/Foo.*QLinearThing/);
  });
});
