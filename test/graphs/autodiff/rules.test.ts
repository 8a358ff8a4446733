import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { backward } from '../../../graphs/autodiff/backward.js';
import { rules } from '../../../graphs/autodiff/rules/index.js';
import { fastForms, plainForms } from '../../../graphs/forms/index.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { OperatorName } from '../../../graphs/onnx/ops/index.js';
import { arrayOf, type ElementType, type Value } from '../../../graphs/onnx/types.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';
import { noise, relativeError, runGraph } from '../run.js';

interface Golden {
  operator: OperatorName;
  before?: OperatorName;
  attributes: Record<string, number>;
  constants: Record<string, { type: ElementType; shape: number[]; data: number[] }>;
  inputs: (number | string | null)[];
  values: { shape: number[]; data: number[] }[];
  dys: { shape: number[]; data: number[] }[];
  outputs: number[][];
  gradients: number[][];
}

/** PyTorch's outputs and gradients of every operator; golden/make_golden.py made them. */
const cases: Golden[] = JSON.parse(readFileSync(new URL('../../golden/rules.json', import.meta.url), 'utf8'));

/** The operator, and L = Σ y·dy, so that dL/dx is what PyTorch's backward pass gave. */
function build(golden: Golden) {
  const g = new GraphBuilder(golden.operator);
  const floats = golden.values.map(({ shape }, i) => g.input(`x${i}`, 'float32', shape));
  const first = golden.before ? [g.add(golden.before as 'Relu', [floats[0]!]), ...floats.slice(1)] : floats;
  const inputs = golden.inputs.map((input): Value | null => {
    if (input === null) return null;
    if (typeof input === 'number') return first[input]!;
    const { type, shape, data } = golden.constants[input]!;
    const values =
      type === 'int64'
        ? BigInt64Array.from(data, BigInt)
        : (arrayOf(type) as Float32ArrayConstructor).from(data);
    return g.constant({ type, shape, data: values });
  });
  const count = golden.operator === 'BatchNorm' ? 4 : golden.dys.length;
  const ys = g
    .addMany(golden.operator, inputs, golden.attributes as never, count)
    .slice(0, golden.dys.length);
  const terms = ys.map((y, i) => {
    const product = g.add('Mul', [y, g.input(`dy${i}`, 'float32', golden.dys[i]!.shape)]);
    return g.sum(
      product,
      product.shape.map((_, axis) => axis),
      0,
    );
  });
  const loss = terms.reduce((a, b) => g.add('Add', [a, b]));
  for (const [i, y] of ys.entries()) g.output(`y${i}`, y);
  g.output('loss', loss);
  return { g, floats, loss };
}

const float32 = (shape: number[], data: ArrayLike<number>): EngineTensor => ({
  type: 'float32',
  shape,
  data: Float32Array.from(data),
});

function feedsOf(golden: Golden, values = golden.values): Record<string, EngineTensor> {
  const feeds: Record<string, EngineTensor> = {};
  for (const [i, v] of values.entries()) feeds[`x${i}`] = float32(v.shape, v.data);
  for (const [i, v] of golden.dys.entries()) feeds[`dy${i}`] = float32(v.shape, v.data);
  return feeds;
}

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
    const predicted = golden.gradients.reduce(
      (sum, dx, i) => sum + dx.reduce((s, d, j) => s + d * direction[i]![j]!, 0),
      0,
    );
    const magnitude = golden.gradients.reduce((sum, dx) => sum + dx.reduce((s, d) => s + Math.abs(d), 0), 0);
    expect(Math.abs(change / (2 * step) - predicted)).toBeLessThan(2e-2 * Math.max(1, magnitude / 10));
  },
);

test('every operator with a gradient has golden cases', () => {
  const covered = new Set(cases.map((golden) => golden.operator));
  const differentiable = Object.entries(rules).filter(([, rule]) => typeof rule === 'function');
  expect(differentiable.map(([name]) => name).filter((name) => !covered.has(name as OperatorName))).toEqual(
    [],
  );
});

test('every operator without a gradient says why', () => {
  const without = Object.entries(rules).filter(([, rule]) => typeof rule !== 'function');
  expect(without.map(([name]) => name).sort()).toEqual(
    (
      'And BatchNormGrad BlockedConv BlockedMaxPool ChannelAffine ConvInputGrad ConvRelu ConvWeightGrad Equal FusedMatMul Gather Greater ' +
      'If Less Loop MaxPoolGrad Not ReorderInput ReorderOutput ScatterElements Sign UpsampleConvInputGrad UpsampleConvWeightGrad'
    ).split(' '),
  );
});
