import type { GraphBuilder } from '../onnx/builder.js';
import { knownShape, sizeOf, type Value } from '../onnx/types.js';
import type { Form } from './form.js';

/** A vector of C values as [1,C,1], to broadcast over [N,C,S]. */
const column = (g: GraphBuilder, v: Value) => g.reshape(v, [1, v.shape[0] as number, 1]);
/** x [N,C,…] as [N,C,S]. */
function flat(g: GraphBuilder, x: Value): Value {
  const [n, c, ...sizes] = knownShape(x.shape, 'BatchNorm');
  return g.reshape(x, [n!, c!, sizeOf(sizes)]);
}
const overBatch = [0, 2];
/** 1 / √(variance + epsilon) */
const inverseDeviation = (g: GraphBuilder, variance: Value, epsilon: number) =>
  g.add('Reciprocal', [g.add('Sqrt', [g.add('Add', [variance, g.scalar(epsilon)])])]);

/** Two passes for the statistics (the second around the mean, so that a large mean loses no digits), one for y. */
export const batchNorm: Form<'BatchNorm'> = {
  build(g, { inputs: [x, scale, bias], attributes: { epsilon } }) {
    const shape = knownShape(x!.shape, 'BatchNorm');
    const rows = flat(g, x!);
    const mean = g.mean(rows, overBatch, 0);
    const centred = g.add('Sub', [rows, column(g, mean)]);
    const variance = g.mean(g.add('Mul', [centred, centred]), overBatch, 0);
    const slope = g.add('Mul', [scale!, inverseDeviation(g, variance, epsilon)]);
    const y = g.add('Add', [g.add('Mul', [centred, column(g, slope)]), column(g, bias!)]);
    return [g.reshape(y, shape), mean, variance];
  },
};

/**
 * With x̂ = (x − mean)/σ, M values a channel: dbias = Σ dy, dscale = Σ dy·x̂,
 * dx = scale/σ · (dy − dbias/M − x̂·dscale/M) (Ioffe & Szegedy 2015, section 3).
 */
export const batchNormGrad: Form<'BatchNormGrad'> = {
  build(g, { inputs: [dy, x, scale, mean, variance], attributes: { epsilon } }) {
    const shape = knownShape(x!.shape, 'BatchNorm');
    const inverseCount = g.scalar(shape[1]! / sizeOf(shape));
    const rows = flat(g, dy!);
    const centred = g.add('Sub', [flat(g, x!), column(g, mean!)]);
    const inverse = inverseDeviation(g, variance!, epsilon);
    const dbias = g.sum(rows, overBatch, 0);
    const moment = g.sum(g.add('Mul', [rows, centred]), overBatch, 0);
    const dscale = g.add('Mul', [moment, inverse]);
    // dx = a·dy − b·(x − mean) − c, with one number a channel each
    const a = g.add('Mul', [scale!, inverse]);
    const perCount = g.add('Mul', [a, inverseCount]);
    const b = g.add('Mul', [perCount, g.add('Mul', [dscale, inverse])]);
    const c = g.add('Mul', [perCount, dbias]);
    const direct = g.add('Mul', [rows, column(g, a)]);
    const indirect = g.add('Add', [g.add('Mul', [centred, column(g, b)]), column(g, c)]);
    return [g.reshape(g.add('Sub', [direct, indirect]), shape), dscale, dbias];
  },
};
