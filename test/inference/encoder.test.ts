import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { fastForms, plainForms } from '../../graphs/forms/index.js';
import { lower } from '../../graphs/forms/lower.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import type { Graph } from '../../graphs/onnx/types.js';
import { bindSizes } from '../../graphs/passes/bind-sizes.js';
import { fuseConvRelu } from '../../graphs/passes/fuse-conv-relu.js';
import { encoderGraph } from '../../graphs/programs/inference.js';
import { resolveConfig } from '../../src/config/pretraining.js';
import { buildGraph } from '../../src/execution/models.js';
import { openEncoder } from '../../src/inference/encoder.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { proxyWorkload } from '../../src/train/proxy.js';
import { initialize } from '../../src/weights/initialize.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { needBlockedLayout } from '../graphs/blocked.js';
import { noise, relativeError } from '../graphs/run.js';

const folder = temporaryFolder();
const file = (name: string) => join(folder, name);

/** An encoder with random weights and statistics, wide enough for every form. */
function exported(inputType: 'float32' | 'int16'): Graph {
  const config = resolveConfig({ preset: 'small', config: { whole: [16, 16, 8] } });
  const weights = initialize(
    buildGraph('evaluation', proxyWorkload(config, config.whole), config).parameters,
    3,
  );
  for (const [name, values] of weights) {
    if (name.includes('norm') || name.endsWith('bias'))
      weights.set(name, noise(values.length, name.length, 0.5, 1));
  }
  const graph = encoderGraph({ network: config.network, window: config.window, inputType }, weights);
  return lower(graph, { choose: plainForms });
}

const SHAPES = [
  [1, 8, 16, 16],
  [3, 8, 16, 24],
  [2, 24, 8, 16],
];
const hu = (shape: readonly number[]) =>
  noise(
    shape.reduce((a, b) => a * b),
    5,
    1500,
  ).map(Math.round);

/** Features by the file as it is. */
async function expected(name: string, type: 'float32' | 'int16', shape: readonly number[]) {
  const session = await nodeEngine.load(readFileSync(file(name)), { threads: 1 });
  const data = type === 'int16' ? Int16Array.from(hu(shape)) : hu(shape);
  const { features } = await session.run({ hu: { type, shape, data } });
  await session.release();
  return features!.data as Float32Array;
}

const METADATA = { tile_size: '16x16x8', size_multiple: '8x8x8' };

beforeAll(() => {
  for (const type of ['float32', 'int16'] as const)
    writeFileSync(file(`${type}.onnx`), encodeModel(toModel(exported(type), { metadata: METADATA })));
  writeFileSync(
    file('external.onnx'),
    encodeModel({ ...toModel(exported('float32')), producer: { name: 'another', version: '1' } }),
  );
});

describe('an opened encoder', () => {
  test.each([
    ['float32.onnx', 'float32'],
    ['int16.onnx', 'int16'],
    ['external.onnx', 'float32'],
  ] as const)('%s gives the features of the file, for any batch and size', async (name, type) => {
    const encoder = openEncoder(file(name), nodeEngine);
    // More sizes than sessions are kept, all asked for at once.
    const got = await Promise.all([...SHAPES, SHAPES[0]!].map((shape) => encoder.encode(hu(shape), shape)));
    await encoder.release();
    for (const [i, shape] of SHAPES.entries()) {
      expect(got[i]!.dimensions).toBe(256);
      expect(got[i]!.features.length).toBe(256 * shape[0]!);
      expect(relativeError(got[i]!.features, await expected(name, type, shape))).toBeLessThan(1e-5);
    }
    expect(got[3]).toEqual(got[0]);
  });

  test('says what it knows of its training', () => {
    expect(openEncoder(file('float32.onnx'), nodeEngine)).toMatchObject({
      tile: [16, 16, 8],
    });
  });

  test('refuses sizes that the poolings do not divide, and goes on', async () => {
    const encoder = openEncoder(file('float32.onnx'), nodeEngine);
    await expect(encoder.encode(new Float32Array(12 * 16 * 16), [1, 12, 16, 16])).rejects.toThrow(
      /multiple|12/,
    );
    await expect(encoder.encode(new Float32Array(7), [1, 8, 16, 16])).rejects.toThrow(
      '7 values for [1, 8, 16, 16]',
    );
    expect((await encoder.encode(hu(SHAPES[0]!), SHAPES[0]!)).dimensions).toBe(256);
    await encoder.release();
  });
});

test('a specialised graph computes no layout of stored weights in every run', (context) => {
  const blocked = needBlockedLayout(context);
  const graph = lower(fuseConvRelu(bindSizes(exported('float32'), { hu: [1, 32, 64, 64] })), {
    choose: fastForms,
    blocked,
  });
  const computed = new Set(graph.inputs.map(({ name }) => name));
  for (const node of graph.nodes)
    if (node.inputs.some((name) => computed.has(name))) for (const name of node.outputs) computed.add(name);
  const stored = graph.nodes.filter((node) => !node.outputs.some((name) => computed.has(name)));
  // ONNX Runtime computes nodes of the standard domain at load, and no others.
  expect(stored.filter(({ domain }) => domain !== '')).toEqual([]);
  // Large feature maps take no pass of their own for it.
  const activations = graph.nodes.filter(({ operator }) => operator === 'Relu');
  expect(activations.filter(({ name }) => name.startsWith('encoder.0'))).toEqual([]);
  expect(graph.nodes.filter(({ domain }) => domain === 'com.microsoft.nchwc').length).toBeGreaterThan(10);
});
