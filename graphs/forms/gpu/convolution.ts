import type { GraphBuilder } from '../../onnx/builder.js';
import { knownShape, type Value } from '../../onnx/types.js';
import type { PlainForm } from '../form.js';
import {
  bordered,
  bySlices,
  overSamples,
  type Steps,
  seenByTap,
  seenByTaps,
  sumOfProducts,
  valuesOf,
} from './taps.js';

/**
 * dw[k,c,t] = Σ_n,p dy[n,k,p] · x[n,c,p + t − 1] by three large products, one for each tap of width: what the taps of depth
 * see of dy, and those of height of x, stands side by side as channels.
 */
export const convWeightGradBatched: PlainForm<'ConvWeightGrad'> = {
  applies: ({ inputs: [x], attributes: { kernel_shape, strides, pads } }) =>
    x!.shape.length === 5 &&
    kernel_shape.join() === '3,3,3' &&
    strides.every((s) => s === 1) &&
    pads.every((p) => p === 1),
  build(g, { inputs: [x, dy] }) {
    const [c, k] = [x!.shape[1] as number, dy!.shape[1] as number];
    return [
      overSamples(g, [x!, dy!], valuesOf(x!, 3 * Math.max(c, k)), (some, of) => weightGrad(g, some, of)),
    ];
  },
};

function weightGrad(g: GraphBuilder, x: Value, dy: Value): Value {
  const [n, c, d, h, w] = knownShape(x.shape, 'ConvWeightGrad');
  const k = dy.shape[1] as number;
  const [slices, voxels] = [n! * d!, h! * w!];
  const along = (count: number): Steps => ({ taps: 3, stride: 1, count });
  // Instead of x at p + t − 1, dy at p − t + 1: the taps of depth come out in the opposite order.
  const rows = seenByTaps(g, bordered(g, bySlices(g, dy), 1), 1, along(d!), 'positionsFirst');
  const gradient = g.reshape(rows, [slices, 3 * k, voxels]);
  const source = bordered(g, bordered(g, bySlices(g, x), 3), 4);
  const products = [0, 1, 2].map((tap) => {
    const columns = seenByTaps(g, seenByTap(g, source, 4, along(w!), tap), 3, along(h!), 'tapsFirst');
    const product = sumOfProducts(g, gradient, g.reshape(columns, [slices, c! * 3, voxels]));
    return g.reshape(product, [3, k, c!, 3, 1]);
  });
  const all = g.add('Concat', products, { axis: 4 });
  return g.slice(g.transpose(all, [1, 2, 0, 3, 4]), [-1], [-4], [2], [-1]);
}
