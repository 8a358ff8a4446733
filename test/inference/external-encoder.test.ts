/** Features of encoders from elsewhere. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { openSampleStore, type SampleStore } from '../../src/data/samples/store.js';
import { externalFeatures } from '../../src/inference/external-encoder.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { BALL_COLUMNS, writeBalls } from '../data/samples/labelled-data.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { filled, modelOf, node, type Parts, value, weight } from '../graphs/imported/models.js';

const folder = temporaryFolder();
let store: SampleStore;

beforeAll(async () => {
  await writeBalls(folder, { patients: 6, each: 1, size: [16, 16, 8] });
  const out = join(folder, 'samples');
  const input = join(folder, 'table.csv');
  await prepareSamples({ task: 'manifest', input, out, columns: BALL_COLUMNS, size: [16, 16, 8] });
  store = openSampleStore(out);
});

/** A convolution, a normalisation, a Dropout and the mean over all positions. */
const encoder = (inTraining: boolean, ...last: Parts['nodes']): Parts => ({
  inputs: [value('image', ['batch', 1, 8, 16, 16])],
  outputs: [last.at(-1)?.outputs[0] ?? 'features'],
  nodes: [
    node('Conv', ['image', 'w'], ['c'], { strides: { kind: 'ints', value: [4, 4, 4] } }),
    node(
      'BatchNormalization',
      ['c', 'scale', 'bias', 'mean', 'variance'],
      inTraining ? ['n', 'new_mean', 'new_variance'] : ['n'],
      inTraining ? { training_mode: { kind: 'int', value: 1 } } : {},
    ),
    node('Dropout', ['n', 'ratio', 'training'], ['d']),
    ...(last.length > 0
      ? last
      : [
          node('GlobalAveragePool', ['d'], ['p']),
          node('Flatten', ['p'], ['features'], { axis: { kind: 'int', value: 1 } }),
        ]),
  ],
  tensors: {
    w: weight([8, 1, 4, 4, 4], 1),
    scale: weight([8], 2),
    bias: weight([8], 3),
    mean: weight([8], 4),
    variance: filled([8], 2),
    ratio: { type: 'float32', shape: [], data: Float32Array.of(0.5) },
    training: { type: 'bool', shape: [], data: Uint8Array.of(inTraining ? 1 : 0) },
  },
});
const featuresOf = async (name: string, parts: Parts) => {
  const path = join(folder, name);
  writeFileSync(path, modelOf(parts));
  return externalFeatures(path, store, nodeEngine, 1);
};

test('a file that was exported as in training gives the features of inference, whenever it is asked', async () => {
  const expected = await featuresOf('inference.onnx', encoder(false));
  for (let i = 0; i < 2; i++) {
    const { rows } = await featuresOf('training.onnx', encoder(true));
    for (const [id, row] of expected.rows)
      for (const [k, feature] of row.entries()) expect(rows.get(id)![k]).toBeCloseTo(feature, 4);
  }
});

test('tokens are not taken for a feature map', async () => {
  const tokens = [
    node('Reshape', ['d', 'sizes'], ['r']),
    node('Transpose', ['r'], ['tokens'], { perm: { kind: 'ints', value: [0, 2, 1] } }),
  ];
  const parts = encoder(false, ...tokens);
  const sizes = { type: 'int64' as const, shape: [3], data: BigInt64Array.of(0n, 0n, -1n) };
  await expect(featuresOf('tokens.onnx', { ...parts, tensors: { ...parts.tensors, sizes } })).rejects.toThrow(
    /neither features nor a feature map[\s\S]*\[1,32,8\]/,
  );
});
