import type { GraphBuilder } from '../../onnx/builder.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import { depthwise, perChannel, STEEP, sameKernel } from '../blocked/nchwc.js';
import { channelSums, fitsPlanes, mapHalves } from '../blocked/slice-pairs.js';
import type { PlainForm, PlanesForm } from '../form.js';

/** A vector of C values as [1,C,1,1], to broadcast over [N,C,S,W]. */
const column = (g: GraphBuilder, v: Value) => g.reshape(v, [1, v.shape[0] as number, 1, 1]);
/** x [N,C,…,W] as [N,C,S,W]. */
function flat(g: GraphBuilder, x: Value): Value {
  const [n, c, ...sizes] = knownShape(x.shape, 'BatchNorm');
  const width = sizes.pop() ?? 1;
  return g.reshape(x, [n!, c!, sizeOf(sizes), width]);
}
const overBatch = [0, 2, 3];
/** 1 / √(variance + epsilon) */
const inverseDeviation = (g: GraphBuilder, variance: Value, epsilon: number) =>
  g.add('Reciprocal', [g.add('Sqrt', [g.add('Add', [variance, g.scalar(epsilon)])])]);

/** Two passes for the statistics (the second around the mean, so that a large mean loses no digits), one for y. */
export const batchNorm: PlainForm<'BatchNorm'> = {
  build(g, { inputs: [x, scale, bias], attributes: { epsilon, relu } }) {
    const shape = knownShape(x!.shape, 'BatchNorm');
    const rows = flat(g, x!);
    const mean = g.mean(rows, overBatch, 0);
    const centred = g.add('Sub', [rows, column(g, mean)]);
    const variance = g.mean(g.add('Mul', [centred, centred]), overBatch, 0);
    const slope = g.add('Mul', [scale!, inverseDeviation(g, variance, epsilon)]);
    const y = g.add('Add', [g.add('Mul', [centred, column(g, slope)]), column(g, bias!)]);
    const active = relu ? g.add('Relu', [y]) : y;
    return [g.reshape(active, shape), mean, variance, g.reshape(centred, shape)];
  },
};

export const channelAffine: PlainForm<'ChannelAffine'> = {
  build(g, { inputs: [x, scale, bias], attributes: { relu } }) {
    const along = (v: Value) =>
      g.reshape(
        v,
        x!.shape.map((_, i) => (i === 1 ? -1 : 1)),
      );
    const y = g.add('Add', [g.add('Mul', [x!, along(scale!)]), along(bias!)]);
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
function coefficients(
  g: GraphBuilder,
  { scale, variance, dbias, moment }: Readonly<Record<'scale' | 'variance' | 'dbias' | 'moment', Value>>,
  epsilon: number,
  count: number,
): Coefficients {
  const inverse = inverseDeviation(g, variance, epsilon);
  const dscale = g.add('Mul', [moment, inverse]);
  const direct = g.add('Mul', [scale, inverse]);
  const perCount = g.add('Mul', [direct, g.scalar(-1 / count)]);
  const indirect = g.add('Mul', [perCount, g.add('Mul', [dscale, inverse])]);
  return { direct, indirect, constant: g.add('Mul', [perCount, dbias]), dscale };
}

export const batchNormGrad: PlainForm<'BatchNormGrad'> = {
  build(g, { inputs: [dy, y, x, scale, variance], attributes: { epsilon, relu } }) {
    const shape = knownShape(x!.shape, 'BatchNorm');
    const count = sizeOf(shape) / shape[1]!;
    // A product is faster than Where, and the mask is exact: 0 or 1.
    const passed = () => g.add('Cast', [g.add('Greater', [y!, g.scalar(0)])], { to: 1 });
    const rows = flat(g, relu ? g.add('Mul', [dy!, passed()]) : dy!);
    const centred = flat(g, x!);
    const dbias = g.sum(rows, overBatch, 0);
    const moment = g.sum(g.add('Mul', [rows, centred]), overBatch, 0);
    const c = coefficients(g, { scale: scale!, variance: variance!, dbias, moment }, epsilon, count);
    const indirect = g.add('Add', [g.add('Mul', [centred, column(g, c.indirect)]), column(g, c.constant)]);
    const dx = g.add('Add', [g.add('Mul', [rows, column(g, c.direct)]), indirect]);
    return [g.reshape(dx, shape), c.dscale, dbias];
  },
};

/** On planes every affine map of a channel, with its ReLU, is one depthwise 1×1 convolution: one pass over memory. */
export const batchNormPlanes: PlanesForm<'BatchNorm'> = {
  layout: 'planes',
  applies: ({ inputs: [x], native }) => fitsPlanes(x!.shape, native),
  build(g, { attributes: { epsilon, relu }, native }, operands) {
    const x = operands.planes(0);
    const [scale, bias] = [operands.plain(1), operands.plain(2)];
    const channels = x.shape[1];
    const perCount = g.scalar(channels / sizeOf(x.shape));
    const mean = g.add('Mul', [channelSums(g, [x], native!)[0]!, perCount]);
    const shift = g.add('Neg', [mean]);
    const one = sameKernel(g, channels, native!.block, [[1]]);
    const centred = mapHalves([x], (half) => depthwise(g, half, one, { bias: shift }));
    const squares = mapHalves([centred], (half) => g.add('Mul', [half, half]));
    const variance = g.add('Mul', [channelSums(g, [squares], native!)[0]!, perCount]);
    const slope = perChannel(g, g.add('Mul', [scale, inverseDeviation(g, variance, epsilon)]));
    const y = mapHalves([centred], (half) =>
      depthwise(g, half, slope, { bias, ...(relu ? { activation: 'Relu' } : {}) }),
    );
    return [y, mean, variance, centred];
  },
};

export const channelAffinePlanes: PlanesForm<'ChannelAffine'> = {
  layout: 'planes',
  applies: ({ inputs: [x], native }) => fitsPlanes(x!.shape, native),
  build(g, { attributes: { relu } }, operands) {
    const [slope, bias] = [perChannel(g, operands.plain(1)), operands.plain(2)];
    const options = { bias, ...(relu ? { activation: 'Relu' as const } : {}) };
    return [mapHalves([operands.planes(0)], (half) => depthwise(g, half, slope, options))];
  },
};

export const batchNormGradPlanes: PlanesForm<'BatchNormGrad'> = {
  layout: 'planes',
  applies: ({ inputs: [dy], native }) => fitsPlanes(dy!.shape, native),
  build(g, { attributes: { epsilon, relu }, native }, operands) {
    const [given, y, x] = [operands.planes(0), operands.planes(1), operands.planes(2)];
    const channels = x.shape[1];
    const steep = sameKernel(g, channels, native!.block, [[STEEP]]);
    const masked = (half: Value, output: Value) =>
      g.add('Mul', [half, depthwise(g, output, steep, { activation: 'Clip' })]);
    const dy = relu ? mapHalves([given, y], masked) : given;
    const products = mapHalves([dy, x], (a, b) => g.add('Mul', [a, b]));
    const [dbias, moment] = channelSums(g, [dy, products], native!) as [Value, Value];
    const [scale, variance] = [operands.plain(3), operands.plain(4)];
    const c = coefficients(g, { scale, variance, dbias, moment }, epsilon, sizeOf(x.shape) / channels);
    const [direct, indirect] = [perChannel(g, c.direct), perChannel(g, c.indirect)];
    const dx = mapHalves([dy, x], (gradient, centred) =>
      depthwise(g, gradient, direct, { sum: depthwise(g, centred, indirect, { bias: c.constant }) }),
    );
    return [dx, c.dscale, dbias];
  },
};
