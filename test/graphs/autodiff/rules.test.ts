import { describe, expect, test } from 'vitest';
import { backward } from '../../../graphs/autodiff/backward.js';
import { rules } from '../../../graphs/autodiff/rules/index.js';
import { fastForms, plainForms } from '../../../graphs/forms/index.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { noise, relativeError, runGraph } from '../run.js';
import { nodeTests } from '../standard/cases.js';
import { build, cases, feedsOf } from './cases.js';

describe.each([
  ['plain', plainForms],
  ['fast', fastForms],
])('%s forms', (_, choose) => {
  test.each(cases.map((golden, i) => [`${i} ${golden.operator}`, golden] as const))(
    '%s agrees with PyTorch',
    async (_name, golden) => {
      const { g, floats, loss } = build(golden);
      for (const [i, gradient] of backward(g, loss, floats).entries()) g.output(`dx${i}`, gradient!);
      const result = await runGraph(g.build(), feedsOf(golden), choose);
      for (const [i, y] of golden.outputs.entries())
        expect(relativeError(result[`y${i}`]!.data as Float32Array, y)).toBeLessThan(2e-6);
      for (const [i, dx] of golden.gradients.entries()) {
        expect(result[`dx${i}`]!.shape).toEqual(golden.values[i]!.shape);
        expect(relativeError(result[`dx${i}`]!.data as Float32Array, dx)).toBeLessThan(5e-6);
      }
    },
  );
});

test.each(cases.map((golden, i) => [`${i} ${golden.operator}`, golden] as const))(
  '%s: the gradient predicts how the output moves (central differences)',
  async (_name, golden) => {
    const { g } = build(golden);
    const step = 2 ** -9;
    const direction = golden.values.map(({ data }, i) => noise(data.length, 500 + i));
    const moved = (sign: number) =>
      golden.values.map(({ shape, data }, i) => ({
        shape,
        data: data.map((v, j) => v + sign * step * direction[i]![j]!),
      }));
    const [up, down] = [
      await runGraph(g.build(), feedsOf(golden, moved(1))),
      await runGraph(g.build(), feedsOf(golden, moved(-1))),
    ];
    // Summed here in float64: the difference of two float32 sums would have no digits left.
    const change = golden.dys.reduce((sum, dy, i) => {
      const [a, b] = [up[`y${i}`]!.data as Float32Array, down[`y${i}`]!.data as Float32Array];
      return sum + dy.data.reduce((s, d, j) => s + d * (a[j]! - b[j]!), 0);
    }, 0);
    const { g: ours, floats, loss } = build(golden);
    for (const [i, gradient] of backward(ours, loss, floats).entries()) ours.output(`dx${i}`, gradient!);
    const found = await runGraph(ours.build(), feedsOf(golden));
    const gradients = floats.map((__, i) => found[`dx${i}`]!.data as Float32Array);
    const predicted = gradients.reduce(
      (sum, dx, i) => sum + dx.reduce((s, d, j) => s + d * direction[i]![j]!, 0),
      0,
    );
    const magnitude = gradients.reduce((sum, dx) => sum + dx.reduce((s, d) => s + Math.abs(d), 0), 0);
    expect(Math.abs(change / (2 * step) - predicted)).toBeLessThan(2e-2 * Math.max(1, magnitude / 10));
  },
);

describe('ScatterElements', () => {
  const vector = (...data: number[]) => ({
    type: 'float32' as const,
    shape: [data.length],
    data: Float32Array.from(data),
  });
  /** Gradients of data and updates for dy = 1, 2, 3, …. */
  async function gradients(reduction: string, data: number[], indices: number[], updates: number[]) {
    const g = new GraphBuilder('scatter');
    const x = g.input('x', 'float32', [data.length]);
    const u = g.input('u', 'float32', [updates.length]);
    const y = g.add('ScatterElements', [x, g.integers(indices), u], { axis: 0, reduction });
    const dy = g.constant(vector(...data.map((_, i) => i + 1)));
    const loss = g.sum(g.add('Mul', [y, dy]), [0], 0);
    for (const [name, gradient] of backward(g, loss, [x, u]).entries()) g.output(`d${name}`, gradient!);
    const { d0, d1 } = await runGraph(g.build(), { x: vector(...data), u: vector(...updates) });
    return [[...d0!.data], [...d1!.data]];
  }

  test('mul: products of all others, zeros among them', async () => {
    // y = 0, 1·2, 3·0·4, 5·0·0
    expect(await gradients('mul', [0, 1, 3, 5], [1, 2, 2, 3, 3], [2, 0, 4, 0, 0])).toEqual([
      [1, 4, 0, 0],
      [2, 36, 0, 0, 0],
    ]);
  });

  test('max: equal ones share', async () => {
    // y = max(0, 0), max(1, 2, 2), 3
    expect(await gradients('max', [0, 1, 3], [0, 1, 1], [0, 2, 2])).toEqual([
      [0.5, 0, 3],
      [0.5, 1, 1],
    ]);
  });
});

test('every operator with a gradient has golden cases, PyTorch’s or the standard’s', () => {
  const covered = new Set<string>(
    [...cases, ...nodeTests.map(({ node }) => node)].map(({ operator }) => operator),
  );
  const differentiable = Object.entries(rules).filter(([, rule]) => typeof rule === 'function');
  expect(differentiable.map(([name]) => name).filter((name) => !covered.has(name))).toEqual([]);
});

test('every operator without a gradient says why', () => {
  const without = Object.entries(rules).filter(([, rule]) => typeof rule !== 'function');
  expect(without.map(([name]) => name).sort()).toEqual(
    (
      'AdamWOptimizer And BatchNormGrad BlockedConv BlockedGlobalAveragePool BlockedMaxPool ChannelAffine ChannelSum ConvInputGrad ConvRelu ConvWeightGrad DequantizeLinear Equal FusedMatMul Greater GreaterOrEqual ' +
      'If InPlaceAccumulatorV2 InplaceClipGradNorm Less LessOrEqual Loop MaxPoolGrad Not Or QuantizeLinear ReorderInput ReorderOutput SGDOptimizerV2 SumOverRanks ' +
      'UpsampleConvInputGrad UpsampleConvWeightGrad Xor'
    ).split(' '),
  );
});
