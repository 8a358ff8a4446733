/*
 * Nearest up-sampling ×2 and a 3×3×3 convolution are together one transposed convolution of stride 2 with a 4×4×4 kernel:
 * along one axis, output o sees input i through tap t = o + 1 − 2i, and there the kernel's taps that fall on either copy of
 * i add up. Its gradients are those of a strided convolution. GPUs have kernels for it; the up-sampled tensor never exists.
 */
import type { GraphBuilder } from '../../onnx/builder.js';
import { tapsOf } from '../../onnx/ops/spatial.js';
import { type FloatType, knownShape, type Value } from '../../onnx/types.js';
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

const STRIDED = { kernel_shape: [4, 4, 4], strides: [2, 2, 2], pads: [1, 1, 1, 1, 1, 1] };
const known = (value: Value) => knownShape(value.shape, 'UpsampleConv');

/** Which taps of 3 add up to each tap of 4. */
const FOLD = [
  [0, 0, 1],
  [0, 1, 1],
  [1, 1, 0],
  [1, 0, 0],
];

/** The 64×27 matrix from a 3×3×3 kernel to the 4×4×4 kernel. */
function foldMatrix(g: GraphBuilder, type: FloatType): Value {
  const values = tapsOf([4, 4, 4]).flatMap((four) =>
    tapsOf([3, 3, 3]).map((three) => three.reduce((product, t, axis) => product * FOLD[four[axis]!]![t]!, 1)),
  );
  return g.floats(values, [64, 27], type);
}

/** w [K,C,3,3,3] → [C,K,4,4,4]. */
function foldedWeights(g: GraphBuilder, w: Value): Value {
  const [k, c] = known(w);
  const taps = g.reshape(g.transpose(g.reshape(w, [k!, c!, 27]), [2, 1, 0]), [27, c! * k!]);
  const folded = g.add('MatMul', [foldMatrix(g, w.type as FloatType), taps]);
  return g.reshape(g.transpose(folded, [1, 0]), [c!, k!, 4, 4, 4]);
}

export const stridedForward: PlainForm<'UpsampleConv'> = {
  build: (g, { inputs: [x, w, bias] }) => [
    g.add('ConvTranspose', [x!, foldedWeights(g, w!), bias ?? null], {
      ...STRIDED,
      output_padding: [0, 0, 0],
    }),
  ],
};

export const stridedInputGrad: PlainForm<'UpsampleConvInputGrad'> = {
  build: (g, { inputs: [dy, w] }) => [g.add('Conv', [dy!, foldedWeights(g, w!)], STRIDED)],
};

/** One product for each tap of width, with what the other taps see of dy side by side as channels; then from 64 taps to 27. */
export const stridedWeightGrad: PlainForm<'UpsampleConvWeightGrad'> = {
  build(g, { inputs: [x, dy] }) {
    const [c, k] = [x!.shape[1] as number, dy!.shape[1] as number];
    const largest = valuesOf(x!, Math.max(c, 16 * k));
    return [overSamples(g, [x!, dy!], largest, (some, of) => weightGrad(g, some, of))];
  },
};

function weightGrad(g: GraphBuilder, x: Value, dy: Value): Value {
  const [n, c, d, h, w] = known(x);
  const k = dy.shape[1] as number;
  const [slices, voxels] = [n! * d!, h! * w!];
  const along = (count: number): Steps => ({ taps: 4, stride: 2, count });
  const source = g.reshape(bySlices(g, x), [slices, c!, voxels]);
  const fine = [1, 3, 4].reduce((y, axis) => bordered(g, y, axis), bySlices(g, dy));
  const products = [0, 1, 2, 3].map((tap) => {
    const inRow = seenByTap(g, fine, 4, along(w!), tap);
    const inSlice = seenByTaps(g, inRow, 3, along(h!), 'tapsFirst');
    const seen = seenByTaps(g, inSlice, 1, along(d!), 'positionsFirst');
    const product = sumOfProducts(g, g.reshape(seen, [slices, 4 * k * 4, voxels]), source);
    return g.reshape(product, [4, k, 4, 1, c!]);
  });
  const taps = g.transpose(g.add('Concat', products, { axis: 3 }), [1, 4, 0, 2, 3]);
  const folded = g.add('MatMul', [g.reshape(taps, [k * c!, 64]), foldMatrix(g, x.type as FloatType)]);
  return g.reshape(folded, [k, c!, 3, 3, 3]);
}
