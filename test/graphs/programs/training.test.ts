import { describe, expect, test } from 'vitest';
import { plainForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { type ClassificationOptions, classification } from '../../../graphs/objectives/classification.js';
import { segmentation } from '../../../graphs/objectives/segmentation.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { encodeModel } from '../../../graphs/onnx/schema.js';
import { sizeOf } from '../../../graphs/onnx/types.js';
import { type BuiltGraph, gradientName, nextName, slotName } from '../../../graphs/programs/built.js';
import { evaluationGraph } from '../../../graphs/programs/evaluation.js';
import {
  accumulateGraph,
  applyGraph,
  gradientGraph,
  stepGraph,
  type UpdateOptions,
} from '../../../graphs/programs/training.js';
import type { EngineTensor, Tensors } from '../../../src/runtime/engine.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { initialize } from '../../../src/weights/initialize.js';
import { noise, relativeError, runGraph } from '../run.js';

const norm = { epsilon: 1e-3, momentum: 0.9, evalStatistics: 'running' } as const;
const shared = {
  batch: 4,
  channels: 2,
  size: [4, 4, 8],
  inputType: 'float32',
  window: null,
  network: { width: 2, levels: 2, skip: true, upsampling: 'nearest', norm },
} as const;
const probe: ClassificationOptions = {
  ...shared,
  frozenEncoder: true,
  hidden: null,
  outputs: 2,
  loss: { name: 'crossEntropy', classWeights: null },
};
const sgd: UpdateOptions = {
  optimizer: { name: 'sgd', momentum: 0.9, weightDecay: 0 },
  clipNorm: null,
};

const tensor = (shape: readonly number[], data: Float32Array): EngineTensor => ({
  type: 'float32',
  shape,
  data,
});
const values = (t: EngineTensor | undefined) => t!.data as Float32Array;
const scalars = { learning_rate: tensor([], Float32Array.of(0.1)), step: tensor([], Float32Array.of(1)) };

/** First parameters, and zeros for all else that a graph takes beside the batch. */
function stateOf({ graph, parameters }: BuiltGraph): Record<string, EngineTensor> {
  const first = initialize(parameters, 1);
  const state = graph.inputs.filter(({ name }) => first.has(name) || /^(optimizer|gradient)[.:]/.test(name));
  return Object.fromEntries(
    state.map(({ name, shape }) => {
      const known = shape as number[];
      return [name, tensor(known, first.get(name) ?? new Float32Array(sizeOf(known)))];
    }),
  );
}

const image = noise(4 * 2 * 4 * 4 * 8, 3);
/** Rows `from` to `to` of a batch of four images of two classes. */
const batchOf = (from: number, to: number, weights = [1, 1, 1, 1]): Record<string, EngineTensor> => {
  const size = image.length / 4;
  return {
    image: tensor([to - from, 2, 4, 4, 8], image.slice(from * size, to * size)),
    label: { type: 'int32', shape: [to - from], data: Int32Array.of(0, 1, 1, 0).slice(from, to) },
    sample_weight: tensor([to - from], Float32Array.from(weights.slice(from, to))),
  };
};

describe('a linear probe', () => {
  const { graph, parameters } = stepGraph(classification(probe), sgd);
  const names = (kind: 'inputs' | 'outputs') => graph[kind].map(({ name }) => name);

  test('trains one linear layer: nothing of the encoder comes out of a step', () => {
    const trained = ['classifier.output.weight', 'classifier.output.bias'];
    expect(parameters.filter((p) => p.trainable).map((p) => p.name)).toEqual(trained);
    const state = trained.flatMap((name) => [name, slotName('momentum', name)]);
    expect(names('outputs').sort()).toEqual(['loss', 'gradient_norm', ...state.map(nextName)].sort());
    expect(names('inputs').filter((name) => name.startsWith('optimizer.encoder'))).toEqual([]);
  });

  test('has no backward pass through the encoder', () => {
    expect(graph.nodes.filter((node) => /^(Conv|BatchNorm)\w*Grad$/.test(node.operator))).toEqual([]);
  });

  test('has the parameters that its evaluation has', () => {
    expect(evaluationGraph(classification(probe)).parameters).toEqual(parameters);
  });

  test('two micro-batches and an update are one step', async () => {
    const step = stepGraph(classification(probe), sgd);
    const whole = await runGraph(step.graph, { ...batchOf(0, 4), ...stateOf(step), ...scalars });

    const half = classification({ ...probe, batch: 2 });
    const accumulate = accumulateGraph(half);
    let sums: Record<string, EngineTensor> = {};
    for (const from of [0, 2]) {
      const result = await runGraph(accumulate.graph, {
        ...batchOf(from, from + 2),
        ...stateOf(accumulate),
        ...sums,
      });
      const trainable = parameters.filter((p) => p.trainable).map(({ name }) => gradientName(name));
      sums = Object.fromEntries(trainable.map((name) => [name, result[nextName(name)]!]));
    }
    const apply = applyGraph(half, sgd, 2);
    const updated = await runGraph(apply.graph, { ...stateOf(apply), ...sums, ...scalars });
    for (const [name, result] of Object.entries(updated))
      expect(relativeError(values(result), values(whole[name])), name).toBeLessThan(1e-5);
  });

  test('samples of weight 0 change neither loss nor gradient', async () => {
    const built = gradientGraph(classification(probe));
    const run = (feeds: Tensors) => runGraph(built.graph, { ...feeds, ...stateOf(built) });
    const padded = batchOf(0, 4, [1, 1, 1, 0]);
    const other = { ...padded, image: tensor([4, 2, 4, 4, 8], image.slice()) };
    values(other.image).fill(0.5, (image.length * 3) / 4);
    const [a, b] = [await run(padded), await run(other)];
    for (const [name, result] of Object.entries(a)) expect(values(b[name])).toEqual(values(result));
  });
});

test('a step trains a segmenter, and its running statistics follow', async () => {
  const task = segmentation({
    ...shared,
    frozenEncoder: false,
    classes: 1,
    losses: [{ name: 'dice' }, { name: 'binaryCrossEntropy', positiveWeights: null }],
  });
  const built = stepGraph(task, sgd);
  const mask = Uint8Array.from({ length: 4 * 4 * 4 * 8 }, (_, i) =>
    Number(image[Math.floor(i / 128) * 2 * 128 + (i % 128)]! > 0.2),
  );
  const { image: images, sample_weight } = batchOf(0, 4);
  const batch = { image: images!, sample_weight: sample_weight! };
  const feeds = {
    ...batch,
    mask: { type: 'uint8', shape: [4, 1, 4, 4, 8], data: mask } as const,
    ...scalars,
  };
  const model = encodeModel(toModel(lower(built.graph, { choose: plainForms })));
  const session = await nodeEngine.load(model, { threads: 1 });
  let state = stateOf(built);
  const losses: number[] = [];
  for (let step = 0; step < 30; step++) {
    const result = await session.run({ ...feeds, ...state });
    losses.push(values(result.loss)[0]!);
    state = Object.fromEntries(Object.keys(state).map((name) => [name, result[nextName(name)]!]));
  }
  await session.release();
  expect(losses.at(-1)).toBeLessThan(0.6 * losses[0]!);
  expect(values(state['encoder.0.norm1.running_mean']).every((v) => v !== 0)).toBe(true);
});
