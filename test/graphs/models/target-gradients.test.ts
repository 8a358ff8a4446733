import { describe, expect, test } from 'vitest';
import { type ChooseForm, fastForms, plainForms } from '../../../graphs/forms/index.js';
import type { DHW } from '../../../graphs/nn/input.js';
import type { NormOptions } from '../../../graphs/nn/layers.js';
import type { ClassificationLoss } from '../../../graphs/objectives/classes.js';
import { classification } from '../../../graphs/objectives/classification.js';
import type { SegmentationLoss } from '../../../graphs/objectives/masks.js';
import type { Objective } from '../../../graphs/objectives/objective.js';
import { segmentation } from '../../../graphs/objectives/segmentation.js';
import { sizeOf } from '../../../graphs/onnx/types.js';
import { evaluationGraph } from '../../../graphs/programs/evaluation.js';
import { gradientGraph } from '../../../graphs/programs/training.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { needBlockedLayout } from '../blocked.js';
import { errorsOf, noise, relativeError, runGraph, runOnEach } from '../run.js';
import { expectAll } from './expect-all.js';
import { compareGradients, type Golden, parameterFeeds, readGolden } from './golden.js';

/** A target task, as golden/make_golden.py writes it down. */
interface Config {
  channels: number;
  batch: number;
  size: DHW;
  sample_weight: number[];
  frozen?: boolean;
  upsampling?: 'nearest' | 'deconv';
  hidden: number | null;
  outputs: number;
  loss: ClassificationLoss;
  classes?: number;
  losses: [SegmentationLoss];
}

const NAMES = [
  'classifier',
  'classifier-questions',
  'classifier-classes',
  'classifier-frozen',
  'segmenter',
  'segmenter-classes',
  'segmenter-frozen',
];

function objectiveOf(config: Config, evalStatistics: NormOptions['evalStatistics'], width = 3): Objective {
  const norm = { epsilon: 1e-3, momentum: 0.99, evalStatistics };
  const upsampling = config.upsampling ?? 'nearest';
  const shared = {
    ...config,
    inputType: 'int16',
    window: { low: -1000, high: 1000 },
    network: { width, levels: 2, skip: true, upsampling, norm },
    frozenEncoder: config.frozen ?? false,
  } as const;
  const { classes } = config;
  return classes === undefined ? classification(shared) : segmentation({ ...shared, classes });
}

function batchFeeds({ config, tensors }: Golden<Config>): Record<string, EngineTensor> {
  const { shape, data } = tensors.get('target')!;
  const type = data instanceof Uint8Array ? 'uint8' : data instanceof Int32Array ? 'int32' : 'float32';
  const { batch, channels, size } = config;
  return {
    image: {
      type: 'int16',
      shape: [batch, channels, ...size],
      data: tensors.get('image')!.data as Int16Array,
    },
    sample_weight: { type: 'float32', shape: [batch], data: Float32Array.from(config.sample_weight) },
    [type === 'uint8' ? 'mask' : 'label']: { type, shape, data },
  };
}

describe.each([
  ['plain', plainForms],
  ['fast', fastForms],
])('with %s forms', (_, forms) => {
  test.each(NAMES)('every gradient of "%s" agrees with PyTorch', async (name) => {
    const golden = readGolden<Config>(`target-${name}`);
    const { graph, parameters } = gradientGraph(objectiveOf(golden.config, 'running'));
    const feeds = { ...batchFeeds(golden), ...parameterFeeds(parameters, graph.inputs) };
    const result = await runGraph(graph, feeds, forms);
    expectAll(compareGradients(result, parameters, golden));
    const gradients = [...golden.tensors.keys()].filter((key) => key.startsWith('gradient:'));
    expect(Object.keys(result).sort()).toEqual(['loss', ...gradients].sort());
  });
});

// With the batch's statistics an evaluation computes what a training step does.
test.each(NAMES.filter((name) => name !== 'segmenter-frozen'))(
  'evaluation of "%s": PyTorch’s probabilities, and losses that make up the batch’s',
  async (name) => {
    const golden = readGolden<Config>(`target-${name}`);
    const { config } = golden;
    const { graph, parameters } = evaluationGraph(objectiveOf(config, config.frozen ? 'running' : 'batch'));
    const result = await runGraph(graph, {
      ...batchFeeds(golden),
      ...parameterFeeds(parameters, graph.inputs),
    });
    const values = (key: string) => [...(result[key]!.data as Float32Array)];
    expect(relativeError(values('probabilities'), golden.values('probabilities'))).toBeLessThan(1e-5);
    const [losses, weights] = [values('loss'), values('weight')];
    expect(losses.length).toBe(config.batch);
    // Dice over the batch is no mean of the samples' own.
    if (config.classes === undefined) {
      const total = losses.reduce((sum, loss, i) => sum + loss * weights[i]!, 0);
      const mean = total / weights.reduce((a, b) => a + b);
      expect(Math.abs(mean / golden.values('loss')[0]! - 1)).toBeLessThan(1e-5);
    }
  },
);

describe('networks whose channels fill blocks', () => {
  const shared = { channels: 2, batch: 2, size: [8, 8, 8] as DHW, sample_weight: [1, 0.5], hidden: 8 };
  const bce: ClassificationLoss = { name: 'binaryCrossEntropy', positiveWeights: null };
  const config: Config = { ...shared, outputs: 2, loss: bce, losses: [{ name: 'dice' }] };
  const cases: [string, Config][] = [
    ['classifier', config],
    ['classifier of four channels, frozen', { ...config, channels: 4, frozen: true }],
    ['segmenter', { ...config, classes: 2 }],
    ['segmenter with a frozen encoder', { ...config, classes: 1, frozen: true }],
    ['segmenter with transposed convolutions', { ...config, classes: 3, upsampling: 'deconv' }],
  ];
  const feedsOf = ({ batch, channels, size, classes, outputs }: Config, seed: number) => {
    const ones = (shape: number[], threshold: number) =>
      noise(sizeOf(shape), 8).map((v) => Number(v > threshold));
    const [image, mask] = [
      [batch, channels, ...size],
      [batch, classes ?? 1, ...size],
    ];
    const target: Record<string, EngineTensor> = classes
      ? { mask: { type: 'uint8', shape: mask, data: Uint8Array.from(ones(mask, 0.4)) } }
      : { label: { type: 'float32', shape: [batch, outputs], data: ones([batch, outputs], 0) } };
    return {
      image: {
        type: 'int16',
        shape: image,
        data: Int16Array.from(noise(sizeOf(image), seed, 1000)),
      } as EngineTensor,
      sample_weight: { type: 'float32', shape: [2], data: Float32Array.of(1, 0.5) } as EngineTensor,
      ...target,
    };
  };

  test.for(cases)('%s: the same values in the blocked layout', async ([, given], context) => {
    const blocked = needBlockedLayout(context);
    const task = objectiveOf(given, 'running', blocked.block);
    for (const built of [gradientGraph(task), evaluationGraph(task)]) {
      const used: string[] = [];
      const counted: ChooseForm = (operator, call) => {
        used.push(fastForms(operator, call));
        return used.at(-1)!;
      };
      const parameters = parameterFeeds(built.parameters, built.graph.inputs);
      const inputs = [5, 6, 7].map((seed) => ({ ...feedsOf(given, seed), ...parameters }));
      const expected = await runOnEach(built.graph, inputs);
      const got = await runOnEach(built.graph, inputs, counted, { ...blocked, chunk: 200 });
      expect(used).toContain('blocked');
      // A value within rounding of zero may fall on the other side of a ReLU, which moves gradients: rarely, and little.
      const [, median, largest] = errorsOf(got, expected);
      expect(median).toBeLessThan(1e-5);
      expect(largest).toBeLessThan(0.05);
    }
  });
});
