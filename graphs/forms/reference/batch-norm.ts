import type { GraphBuilder } from '../../onnx/builder.js';
import { knownShape, sizeOf, TYPE_CODES, type Value } from '../../onnx/types.js';
import type { PlainForm } from '../form.js';

/** A vector of C values as [1,C,1,…], to broadcast over x [N,C,…]. */
const along = (g: GraphBuilder, v: Value, x: Value) =>
  g.reshape(
    v,
    x.shape.map((_, i) => (i === 1 ? -1 : 1)),
  );

/** Of a feature map that is laid out for its sums: all axes but that of channels. */
const overBatch = [0, 2, 3];

/** How a feature map is laid out for its sums. */
type Flatten = (g: GraphBuilder, x: Value) => Value;
/** x [N,C,…,W] as [N,C,S,W]: summed up row by row. */
const inRows: Flatten = (g, x) => {
  const [n, c, ...sizes] = knownShape(x.shape, 'BatchNorm');
  const width = sizes.pop() ?? 1;
  return g.reshape(x, [n!, c!, sizeOf(sizes), width]);
};
/** x [N,C,…] as [N,C,1,V]: summed up at once, for kernels that share the work. */
const atOnce: Flatten = (g, x) => {
  const [n, c, ...sizes] = knownShape(x.shape, 'BatchNorm');
  return g.reshape(x, [n!, c!, 1, sizeOf(sizes)]);
};
/** 1 / √(variance + epsilon) */
export const inverseDeviation = (g: GraphBuilder, variance: Value, epsilon: number) =>
  g.add('Reciprocal', [g.add('Sqrt', [g.add('Add', [variance, g.scalar(epsilon, variance.type)])])]);

/**
 * Two passes for the statistics (the second around the mean, so that a large mean loses no digits), one for y. All that is made
 * here is flat, and the gradient is computed in the shape of x: ONNX Runtime keeps memory that has become free for the next
 * value of the same shape, so that what is left of the forward pass would otherwise be held until the backward pass takes it.
 */
const batchNormBy = (flat: Flatten): PlainForm<'BatchNorm'> => ({
  build(g, { inputs: [x, scale, bias], attributes: { epsilon, relu } }) {
    const shape = knownShape(x!.shape, 'BatchNorm');
    const rows = flat(g, x!);
    const mean = g.mean(rows, overBatch, 0);
    const centred = g.add('Sub', [rows, along(g, mean, rows)]);
    const variance = g.mean(g.add('Mul', [centred, centred]), overBatch, 0);
    const slope = g.add('Mul', [scale!, inverseDeviation(g, variance, epsilon)]);
    const y = g.add('Add', [g.add('Mul', [centred, along(g, slope, rows)]), along(g, bias!, rows)]);
    const active = relu ? g.add('Relu', [y]) : y;
    return [g.reshape(active, shape), mean, variance, g.reshape(centred, shape)];
  },
});
export const batchNorm = batchNormBy(inRows);
export const batchNormAtOnce = batchNormBy(atOnce);

export const channelAffine: PlainForm<'ChannelAffine'> = {
  build(g, { inputs: [x, scale, bias], attributes: { relu } }) {
    const y = g.add('Add', [g.add('Mul', [x!, along(g, scale!, x!)]), along(g, bias!, x!)]);
    return [relu ? g.add('Relu', [y]) : y];
  },
};

/** What dx is made of: dx = direct·dy + indirect·(x − mean) + constant, one number a channel each. */
interface Coefficients {
  readonly direct: Value;
  readonly indirect: Value;
  readonly constant: Value;
  readonly dscale: Value;
}

/**
 * With x̂ = (x − mean)/σ, M values a channel: dbias = Σ dy, dscale = Σ dy·x̂,
 * dx = scale/σ · (dy − dbias/M − x̂·dscale/M) (Ioffe & Szegedy 2015, section 3).
 * @param moment Σ dy·(x − mean)
 */
export function coefficients(
  g: GraphBuilder,
  { scale, variance, dbias, moment }: Readonly<Record<'scale' | 'variance' | 'dbias' | 'moment', Value>>,
  epsilon: number,
  count: number,
): Coefficients {
  const inverse = inverseDeviation(g, variance, epsilon);
  const dscale = g.add('Mul', [moment, inverse]);
  const direct = g.add('Mul', [scale, inverse]);
  const perCount = g.add('Mul', [direct, g.scalar(-1 / count, direct.type)]);
  const indirect = g.add('Mul', [perCount, g.add('Mul', [dscale, inverse])]);
  return { direct, indirect, constant: g.add('Mul', [perCount, dbias]), dscale };
}

/** Computed in the shape of x, and flattened for sums only; see {@link batchNormBy}. */
const batchNormGradBy = (flat: Flatten): PlainForm<'BatchNormGrad'> => ({
  build(g, { inputs: [dy, y, x, scale, variance], attributes: { epsilon, relu } }) {
    const centred = x!;
    const count = sizeOf(knownShape(centred.shape, 'BatchNorm')) / (centred.shape[1] as number);
    // A product is faster than Where, and the mask is exact: 0 or 1.
    const passed = () =>
      g.add('Cast', [g.add('Greater', [y!, g.scalar(0, y!.type)])], { to: TYPE_CODES[y!.type] });
    const given = relu ? g.add('Mul', [dy!, passed()]) : dy!;
    const dbias = g.sum(flat(g, given), overBatch, 0);
    const moment = g.sum(flat(g, g.add('Mul', [given, centred])), overBatch, 0);
    const c = coefficients(g, { scale: scale!, variance: variance!, dbias, moment }, epsilon, count);
    const indirect = g.add('Add', [
      g.add('Mul', [centred, along(g, c.indirect, centred)]),
      along(g, c.constant, centred),
    ]);
    return [g.add('Add', [g.add('Mul', [given, along(g, c.direct, given)]), indirect]), c.dscale, dbias];
  },
});
export const batchNormGrad = batchNormGradBy(inRows);
export const batchNormGradAtOnce = batchNormGradBy(atOnce);
