import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { UNet3dOptions } from '../../graphs/models/unet3d.js';
import type { Parameter } from '../../graphs/nn/module.js';
import { type ClassificationOptions, classification } from '../../graphs/objectives/classification.js';
import { segmentation } from '../../graphs/objectives/segmentation.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { evaluationGraph } from '../../graphs/programs/evaluation.js';
import { initialize } from '../../src/weights/initialize.js';
import { formatLoad, type LoadOptions, loadWeights, ownName } from '../../src/weights/load-weights.js';
import { readSafetensors, writeSafetensors } from '../../src/weights/safetensors-file.js';
import { readWeights } from '../../src/weights/weight-file.js';
import type { Weights, WeightTensor } from '../../src/weights/weights.js';
import { errorOf, temporaryFolder } from '../data/store/tiles-sample.js';
import { relativeError, runGraph } from '../graphs/run.js';

const folder = temporaryFolder();
const golden = (name: string) => new URL(`../golden/${name}`, import.meta.url).pathname;

const network: UNet3dOptions = {
  width: 1,
  levels: 3,
  skip: true,
  upsampling: 'deconv',
  norm: { epsilon: 1e-5, momentum: 0.9, evalStatistics: 'batch' },
};
const image = { batch: 2, channels: 1, size: [8, 16, 8], inputType: 'float32', window: null } as const;
const segmenterOf = (change: { channels?: number; network?: Partial<UNet3dOptions> } = {}) =>
  evaluationGraph(
    segmentation({
      ...image,
      channels: change.channels ?? 1,
      network: { ...network, ...change.network },
      frozenEncoder: false,
      classes: 1,
      losses: [{ name: 'dice' }],
    }),
  );
const classifierOf = (change: Partial<ClassificationOptions> = {}) =>
  evaluationGraph(
    classification({
      ...image,
      network,
      frozenEncoder: false,
      hidden: 4,
      outputs: 1,
      loss: { name: 'binaryCrossEntropy', positiveWeights: null },
      ...change,
    }),
  );

const everything: LoadOptions = {
  source: 'genesis.npz',
  parts: ['encoder', 'decoder', 'head'],
  partial: false,
};
const onlyEncoder: LoadOptions = { ...everything, parts: ['encoder'] };
const load = (parameters: readonly Parameter[], weights: Weights, options = everything) =>
  loadWeights(parameters, initialize(parameters, 1), weights, options);
const genesis = await readWeights(golden('genesis.npz'));
const namesOf = (parameters: readonly Parameter[], part = '') =>
  parameters.map(({ name }) => name).filter((name) => name.startsWith(part));

describe('weights of Models Genesis', () => {
  test('make our network compute what theirs does', async () => {
    const { graph, parameters } = segmenterOf();
    const { values, report } = load(parameters, genesis);
    expect(report.loaded).toEqual(namesOf(parameters));
    expect(report.ignored.every((name) => name.endsWith('.num_batches_tracked'))).toBe(true);
    expect(report.ignored.length).toBe(14);

    const { tensors } = readSafetensors(golden('genesis-output.safetensors'));
    const data = (name: string) => tensors.get(name)!.data as Float32Array;
    const feeds = Object.fromEntries(
      parameters.map(({ name, shape }) => [
        name,
        { type: 'float32', shape, data: values.get(name)! } as const,
      ]),
    );
    const { probabilities } = await runGraph(graph, {
      ...feeds,
      image: { type: 'float32', shape: [2, 1, 8, 16, 8], data: data('image') },
      mask: { type: 'uint8', shape: [2, 1, 8, 16, 8], data: new Uint8Array(2048) },
      sample_weight: { type: 'float32', shape: [2], data: Float32Array.of(1, 1) },
    });
    expect(relativeError(probabilities!.data as Float32Array, data('output'))).toBeLessThan(1e-5);
  });

  test('fill the full-size network: 19,073,665 parameters', () => {
    const { parameters } = segmenterOf({ network: { width: 32 } });
    // Sizes at width 32 from the file of width 1: all but the image's and the output's single channel grow.
    const wide = new Map(
      [...genesis].map(([name, tensor]): [string, WeightTensor] => {
        const grows = (axis: number) =>
          !(axis === 0 && /final_conv/.test(name)) && !(axis === 1 && /down_tr64\.ops\.0\.conv1/.test(name));
        const shape = tensor.shape.map((size, axis) => (axis < 2 && grows(axis) ? 32 * size : size));
        return [name, { ...tensor, shape, data: tensor.data && new Float32Array(sizeOf(shape)) }];
      }),
    );
    const { values, report } = load(parameters, wide);
    expect(report.loaded.length).toBe(parameters.length);
    const trained = parameters.filter((p) => p.trainable);
    expect(trained.reduce((sum, { name }) => sum + values.get(name)!.length, 0)).toBe(19_073_665);
  });

  test('give a classifier its encoder; its own layers keep their first values', () => {
    const { parameters } = classifierOf();
    const { values, report } = load(parameters, genesis, onlyEncoder);
    expect(report.loaded).toEqual(namesOf(parameters, 'encoder.'));
    expect(report.untouched).toEqual(namesOf(parameters, 'classifier.'));
    expect(report.unexpected).toEqual([]);
    expect(report.ignored).toContain('module.up_tr256.up_conv.weight');
    expect(values.get('classifier.output.weight')).toEqual(
      initialize(parameters, 1).get('classifier.output.weight'),
    );
    expect(values.get('encoder.1.norm2.running_var')).toEqual(
      genesis.get('module.down_tr128.ops.1.bn1.running_var')!.data,
    );
  });

  test('of a first kernel for one channel give the same for several equal ones', () => {
    const { parameters } = segmenterOf({ channels: 3 });
    const { values, report } = load(parameters, genesis);
    const name = 'encoder.0.conv1.weight';
    expect(report.adapted).toEqual([{ name, from: [1, 1, 3, 3, 3], to: [1, 3, 3, 3, 3] }]);
    expect(report.loaded).not.toContain(name);
    const kernel = genesis.get('module.down_tr64.ops.0.conv1.weight')!.data!;
    const sums = kernel.map((_, tap) =>
      [0, 1, 2].reduce((sum, channel) => sum + values.get(name)![channel * 27 + tap]!, 0),
    );
    expect(relativeError(sums, kernel)).toBeLessThan(1e-6);
  });

  test('of a network with more filters, their kernels keep their own channels', () => {
    const { parameters } = segmenterOf({ channels: 2, network: { width: 2 } });
    const [shape, data] = [[2, 1, 3, 3, 3], Float32Array.from({ length: 54 }, (_, i) => i)];
    const weights: Weights = new Map([['encoder.0.conv1.weight', { type: 'F32', shape, data }]]);
    const { values } = load(parameters, weights, { ...onlyEncoder, partial: true });
    const filters = [0, 0, 1, 1].flatMap((filter) =>
      Array.from({ length: 27 }, (_, tap) => (27 * filter + tap) / 2),
    );
    expect([...values.get('encoder.0.conv1.weight')!]).toEqual(filters);
  });
});

test.each([
  ['module.down_tr64.ops.0.conv1.weight', 'encoder.0.conv1.weight'],
  ['module.module.down_tr512.ops.1.bn1.bias', 'encoder.3.norm2.bias'],
  ['up_tr256.up_conv.weight', 'decoder.2.up.weight'],
  ['up_tr64.ops.1.conv1.bias', 'decoder.0.conv2.bias'],
  ['out_tr.final_conv.bias', 'head.bias'],
  ['encoder.2.conv1.weight', 'encoder.2.conv1.weight'],
  ['down_tr96.ops.0.conv1.weight', 'down_tr96.ops.0.conv1.weight'],
])('%s is %s', (theirs, ours) => {
  expect(ownName(theirs)).toBe(ours);
});

describe('a load that is not whole', () => {
  const { parameters } = segmenterOf();
  const without = (weights: Weights, ...names: string[]): Map<string, WeightTensor> =>
    new Map([...weights].filter(([name]) => !names.includes(name)));

  test('is refused with what is missing, what does not fit, and what is too much', () => {
    const weights = without(genesis, 'module.down_tr128.ops.0.conv1.bias');
    weights.set('module.out_tr.final_conv.bias', { type: 'F32', shape: [3], data: new Float32Array(3) });
    weights.set('module.extra', { type: 'F32', shape: [1], data: new Float32Array(1) });
    const error = errorOf(() => load(parameters, weights));
    expect(error).toMatchObject({ name: 'UserError', kind: 'input', facts: { where: 'genesis.npz' } });
    expect(error.message).toContain('not in the file (1): encoder.1.conv1.bias');
    expect(error.message).toContain('different shape (1): head.bias is F32 [3], not [1]');
    expect(error.message).toContain('not in the network (1): module.extra');
    expect(error.message).toContain('partial');

    const { values, report } = load(parameters, weights, { ...everything, partial: true });
    expect(report).toMatchObject({
      missing: ['encoder.1.conv1.bias'],
      mismatched: [{ name: 'head.bias', type: 'F32', got: [3], expected: [1] }],
      unexpected: ['module.extra'],
    });
    expect(report.loaded.length).toBe(parameters.length - 2);
    expect(values.get('head.bias')).toEqual(Float32Array.of(0));
    for (const line of ['loaded 90 tensors', 'encoder.1.conv1.bias', 'F32 [3], not [1]', 'module.extra'])
      expect(formatLoad(report)).toContain(line);
  });

  test('is refused where only one part of the file is used up: a deeper encoder', () => {
    const shallow = segmenterOf({ network: { levels: 2 } });
    expect(errorOf(() => load(shallow.parameters, genesis, onlyEncoder)).message).toMatch(
      /not in the network \(12\): module\.down_tr512/,
    );
  });

  test('is refused with what to set where the networks differ in their skip connections', () => {
    const plain = segmenterOf({ network: { skip: false } });
    expect(errorOf(() => load(plain.parameters, genesis)).message).toContain(
      'of a network with skip connections: set network.skip=true, or load the encoder only',
    );
    const without = new Map(
      plain.parameters.map(({ name, shape }) => [
        name,
        { type: 'F32' as const, shape, data: new Float32Array(sizeOf(shape)) },
      ]),
    );
    expect(errorOf(() => load(parameters, without)).message).toContain('set network.skip=false');
    const wide = segmenterOf({ network: { width: 2 } });
    const { message } = errorOf(() => load(wide.parameters, genesis));
    expect(message).not.toContain('network.skip');
    expect(message).toContain('load fewer parts');
    // A tensor of one dimension, too, is told by its shape.
    const flat = new Map(genesis).set('decoder.0.conv1.weight', {
      type: 'F32',
      shape: [3],
      data: new Float32Array(3),
    });
    for (const name of genesis.keys()) if (ownName(name) === 'decoder.0.conv1.weight') flat.delete(name);
    expect(errorOf(() => load(parameters, flat)).message).toContain('decoder.0.conv1.weight is F32 [3], not');
  });

  test('is refused when nothing fits, even if it may be partial', () => {
    const others: Weights = new Map([
      ['layer1.weight', { type: 'F32', shape: [1], data: new Float32Array(1) }],
    ]);
    const error = errorOf(() => load(parameters, others, { ...everything, partial: true }));
    expect(error.message).toContain('nothing in this file fits');
  });

  test('is refused for weights of integers', () => {
    const name = 'module.out_tr.final_conv.bias';
    const weights = new Map(genesis).set(name, { type: 'int64', shape: [1], data: null });
    expect(errorOf(() => load(parameters, weights)).message).toContain('head.bias is int64 [1], not [1]');
  });

  test('is whole with a mapping of names', () => {
    const theirs = 'module.out_tr.final_conv.bias';
    const weights = without(genesis, theirs).set('last.offset', genesis.get(theirs)!);
    expect(() => load(parameters, weights)).toThrow(/last\.offset/);
    const { values } = load(parameters, weights, { ...everything, names: { 'last.offset': 'head.bias' } });
    expect(values.get('head.bias')).toEqual(genesis.get(theirs)!.data);
  });

  test('a parameter that the file has twice is refused', () => {
    const weights = new Map(genesis).set('head.bias', genesis.get('module.out_tr.final_conv.bias')!);
    expect(errorOf(() => load(parameters, weights)).message).toMatch(/same parameter, head\.bias/);
  });
});

test('a checkpoint of ours gives its encoder, and its optimiser state stays behind', async () => {
  const { parameters } = segmenterOf();
  const values = initialize(parameters, 7);
  const path = join(folder, 'checkpoint.safetensors');
  const own = parameters.map(({ name, shape }) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: values.get(name)!,
  }));
  writeSafetensors(path, [...own, { ...own[0]!, name: `optimizer.m.${own[0]!.name}` }], {});
  const target = classifierOf().parameters;
  const { values: got, report } = load(target, await readWeights(path), onlyEncoder);
  for (const name of namesOf(target, 'encoder.')) expect(got.get(name)).toEqual(values.get(name));
  expect(report.ignored).toContain('optimizer.m.encoder.0.conv1.weight');
});

test('halves are read as the numbers that they are', async () => {
  const path = join(folder, 'half.safetensors');
  const half = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x3555);
  const brain = Uint16Array.of(0x3f80, 0xc040, 0x0000, 0x7f7f, 0x3eab);
  writeSafetensors(
    path,
    [
      { name: 'half', dtype: 'F16', shape: [5], data: half },
      { name: 'brain', dtype: 'BF16', shape: [5], data: brain },
      { name: 'double', dtype: 'F64', shape: [1], data: Float64Array.of(0.1) },
    ],
    {},
  );
  const weights = await readWeights(path);
  expect(weights.get('half')!.data).toEqual(Float32Array.of(1, -2, 2 ** -24, 65504, 0.333251953125));
  expect([...weights.get('brain')!.data!.subarray(0, 3)]).toEqual([1, -3, 0]);
  expect(weights.get('double')!.data).toEqual(Float32Array.of(0.1));
});

test('He draws weights from a range that leaves out the fan-out, with the same random numbers', () => {
  const { parameters } = segmenterOf();
  const [glorot, he] = [initialize(parameters, 1), initialize(parameters, 1, 'heUniform')];
  const { initializer } = parameters.find(({ name }) => name === 'encoder.0.conv1.weight')!;
  const { fanIn, fanOut } = initializer as Extract<typeof initializer, { fanIn: number }>;
  const ratio = Math.sqrt((fanIn + fanOut) / fanIn);
  for (const [i, weight] of glorot.get('encoder.0.conv1.weight')!.entries())
    expect(he.get('encoder.0.conv1.weight')![i]).toBeCloseTo(weight * ratio, 6);
  expect(he.get('encoder.0.norm1.scale')).toEqual(glorot.get('encoder.0.norm1.scale'));
});
