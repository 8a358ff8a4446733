import { describe, expect, test } from 'vitest';
import { fastForms, plainForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { featureClassification } from '../../../graphs/objectives/classification.js';
import type { Objective } from '../../../graphs/objectives/objective.js';
import { reconstruction } from '../../../graphs/objectives/reconstruction.js';
import { segmentation } from '../../../graphs/objectives/segmentation.js';
import { evaluationGraph } from '../../../graphs/programs/evaluation.js';
import {
  accumulateGraph,
  applyGraph,
  gradientGraph,
  stepGraph,
  type UpdateOptions,
} from '../../../graphs/programs/training.js';
import { noise, relativeError, runGraph } from '../run.js';

const norm = { epsilon: 1e-3, momentum: 0.9, evalStatistics: 'running' } as const;
const network = (upsampling: 'nearest' | 'deconv') =>
  ({ width: 16, levels: 2, skip: true, upsampling, norm }) as const;
const adam: UpdateOptions = {
  optimizer: { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  clipNorm: 1,
};
const size = [8, 8, 8] as const;
const objectives: readonly (readonly [string, Objective])[] = [
  [
    'reconstruction',
    reconstruction({
      ...{ batch: 2, tile: size, whole: size, window: { low: -1000, high: 1000 } },
      ...{ network: network('nearest'), intensity: true, contrastive: { weight: 0.1, temperature: 0.5 } },
    }),
  ],
  [
    'segmentation',
    segmentation({
      ...{ batch: 2, channels: 1, size, inputType: 'int16', window: { low: -1000, high: 1000 } },
      ...{ network: network('deconv'), frozenEncoder: false, classes: 2 },
      losses: [{ name: 'dice' }, { name: 'binaryCrossEntropy', positiveWeights: [1, 2] }],
    }),
  ],
];

describe.each(objectives)('%s in float64', (_, objective) => {
  test.each([
    ['step', () => stepGraph(objective, adam, { float: 'float64' })],
    ['gradient', () => gradientGraph(objective, { float: 'float64' })],
    ['accumulate', () => accumulateGraph(objective, { float: 'float64' })],
    ['apply', () => applyGraph(objective, adam, 2, { float: 'float64' })],
    ['evaluation', () => evaluationGraph(objective, 'float64')],
  ])('%s: nothing is computed in float32, in any form', (_name, build) => {
    const { graph } = build();
    for (const choose of [plainForms, fastForms]) {
      const lowered = lower(graph, { choose, blocked: { block: 16, chunk: 64 } });
      const types = lowered.nodes.flatMap(({ outputs }) =>
        outputs.map((name) => lowered.values.get(name)!.type),
      );
      expect(types).toContain('float64');
      expect(types).not.toContain('float32');
      expect([...lowered.inputs, ...lowered.outputs].map(({ type }) => type)).not.toContain('float32');
    }
  });
});

test('a step in float64 gives what one in float32 gives, to its digits', async () => {
  const objective = featureClassification({
    ...{ batch: 4, dimensions: 6, hidden: 5, outputs: 3 },
    loss: { name: 'crossEntropy', classWeights: [1, 2, 0.5] },
  });
  const run = async (float: 'float32' | 'float64') => {
    const { graph } = stepGraph(objective, adam, { float });
    const feeds = graph.inputs.map(({ name, type, shape }, i) => {
      const count = (shape as number[]).reduce((a, b) => a * b, 1);
      const values = name === 'step' ? [1] : noise(count, 3 + i, 0.4, 0.5);
      const data =
        type === 'int32'
          ? Int32Array.of(0, 2, 1, 1)
          : type === 'float64'
            ? Float64Array.from(values)
            : Float32Array.from(values);
      return [name, { type, shape: shape as number[], data }] as const;
    });
    return runGraph(graph, Object.fromEntries(feeds));
  };
  const [single, double] = [await run('float32'), await run('float64')];
  expect(Object.keys(double)).toEqual(Object.keys(single));
  for (const [name, { type, data }] of Object.entries(double)) {
    expect(type).toBe('float64');
    expect(relativeError(single[name]!.data as Float32Array, data as Float64Array), name).toBeLessThan(1e-5);
  }
});
