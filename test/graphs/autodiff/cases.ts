import { readFileSync } from 'node:fs';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import type { OperatorName } from '../../../graphs/onnx/ops/index.js';
import { arrayOf, type ElementType, type Value } from '../../../graphs/onnx/types.js';
import type { EngineTensor } from '../../../src/runtime/engine.js';

export interface Golden {
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
export const cases: Golden[] = JSON.parse(
  readFileSync(new URL('../../golden/rules.json', import.meta.url), 'utf8'),
);

/** The operator, and L = Σ y·dy, so that dL/dx is what PyTorch's backward pass gave. */
export function build(golden: Golden) {
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

export function feedsOf(golden: Golden, values = golden.values): Record<string, EngineTensor> {
  const feeds: Record<string, EngineTensor> = {};
  for (const [i, v] of values.entries()) feeds[`x${i}`] = float32(v.shape, v.data);
  for (const [i, v] of golden.dys.entries()) feeds[`dy${i}`] = float32(v.shape, v.data);
  return feeds;
}
