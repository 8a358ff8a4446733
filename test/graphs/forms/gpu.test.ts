import { describe, expect, test } from 'vitest';
import { overSamples } from '../../../graphs/forms/gpu/taps.js';
import { type FormedName, forms, gpuForms, hasForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { OperatorName } from '../../../graphs/onnx/ops/index.js';
import { sizeOf, type Value } from '../../../graphs/onnx/types.js';
import { stepGraph } from '../../../graphs/programs/training.js';
import { resolveConfig } from '../../../src/config/pretraining.js';
import { proxyWorkload } from '../../../src/train/proxy.js';
import { noise, relativeError, runGraph } from '../run.js';

const paper = (batch: number) => {
  const config = resolveConfig({ preset: 'paper', config: { batch, microBatch: batch } });
  return stepGraph(proxyWorkload(config, config.whole)(batch), config).graph;
};

describe('forms for a GPU', () => {
  test('keep every tensor of the largest step within 32 bits, which is all that the kernels count', () => {
    const { nodes, values } = lower(paper(16), { choose: gpuForms });
    const counts = nodes.flatMap(({ outputs }) =>
      outputs.map((name) => sizeOf(values.get(name)!.shape as number[])),
    );
    expect(Math.max(...counts)).toBeLessThan(2 ** 31);
    expect(Math.max(...counts)).toBeGreaterThanOrEqual(2 ** 30);
  });

  test('have no Pad in a training step, and every operator has one', () => {
    const graph = paper(2);
    const lowered = lower(graph, { choose: gpuForms });
    expect(lowered.nodes.map(({ operator }) => operator)).not.toContain('Pad');
    for (const operator of Object.keys(forms)) expect(hasForms(operator as OperatorName)).toBe(true);
    const call = {
      inputs: [{ name: 'x', type: 'float32', shape: [1, 2, 3, 4, 5] }],
      attributes: {},
      blocked: null,
    };
    expect(gpuForms('ChannelAffine' as FormedName, call as never)).toBe('plain');
  });

  test('a gradient over groups of samples is the gradient over all of them', async () => {
    const g = new GraphBuilder('groups');
    const x = g.input('x', 'float32', [5, 4]);
    const dy = g.input('dy', 'float32', [5, 4]);
    const sums: number[] = [];
    const product = (a: Value, b: Value) => {
      sums.push(a.shape[0] as number);
      return g.sum(g.add('Mul', [a, b]), [0], 0);
    };
    g.output('one', overSamples(g, [x, dy], 4, product));
    g.output('some', overSamples(g, [x, dy], 4, product, 8));
    g.output('each', overSamples(g, [x, dy], 4, product, 3));
    expect(sums).toEqual([5, 2, 1, 2, 1, 1, 1, 1, 1]);
    const feed = (seed: number) => ({ type: 'float32' as const, shape: [5, 4], data: noise(20, seed, 1, 0) });
    const { one, some, each } = await runGraph(g.build(), { x: feed(1), dy: feed(2) });
    for (const other of [some!, each!])
      expect(relativeError(other.data as Float32Array, one!.data as Float32Array)).toBeLessThan(1e-6);
  });
});
