import { exchanged, padded, reversed } from '../../onnx/blocks.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import { tapsOf, type Window } from '../../onnx/ops/spatial.js';
import { range } from '../../onnx/range.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import type { PlainForm } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import { phasesOf } from './phases.js';

/** What a convolution's windows are, without dilation. */
export type WindowSizes = Pick<Required<Window>, 'kernel_shape' | 'strides' | 'pads'>;

const known = (value: Value) => knownShape(value.shape, 'a convolution');

/** The product a · bᵀ of matrices; leading axes are batch axes. */
export function timesTransposed(g: GraphBuilder, a: Value, b: Value, blocked: BlockedLayout | null): Value {
  if (blocked) return g.add('FusedMatMul', [a, b], { transB: 1 });
  const last = b.shape.length - 1;
  const swapped = [...range(last - 1), last, last - 1];
  return g.add('MatMul', [a, g.transpose(b, swapped)]);
}

/**
 * dx = Conv(dy, w′) for stride 1, where w′ has its channels exchanged and every spatial axis reversed:
 * dx[c,p] = Σ_k,t dy[k, p + pad − t] · w[k,c,t]. Where the weights are larger than dy and dx, those are reversed instead.
 * Strided convolutions, and those with more padding than a kernel reaches, take the transposed convolution.
 */
export const convInputGrad: PlainForm<'ConvInputGrad'> = {
  build(g, { inputs: [dy, w], attributes: { kernel_shape, strides, pads, input_shape } }) {
    const rank = kernel_shape.length;
    const around = pads.map((p, i) => kernel_shape[i % rank]! - 1 - p);
    if (strides.every((s) => s === 1) && around.every((p) => p >= 0)) {
      const swapped = exchanged(g, w!);
      if (sizeOf(known(dy!)) + sizeOf(input_shape) < sizeOf(known(w!))) {
        const mirrored = [...around.slice(rank), ...around.slice(0, rank)];
        const dx = g.add('Conv', [reversed(g, dy!), swapped], { kernel_shape, pads: mirrored });
        return [reversed(g, dx)];
      }
      return [g.add('Conv', [dy!, reversed(g, swapped)], { kernel_shape, pads: around })];
    }
    const output_padding = range(rank).map((i) => {
      const reached =
        ((dy!.shape[i + 2] as number) - 1) * strides[i]! + kernel_shape[i]! - pads[i]! - pads[i + rank]!;
      return input_shape[i + 2]! - reached;
    });
    return [g.add('ConvTranspose', [dy!, w!], { kernel_shape, strides, pads, output_padding })];
  },
};

const isPointwise = (kernel: readonly number[]) => sizeOf(kernel) === 1;

/** What each tap of a convolution sees of x, at as many positions as dy has. */
function tapViews(
  g: GraphBuilder,
  x: Value,
  { kernel_shape, strides, pads }: WindowSizes,
  sizes: readonly number[],
): (tap: readonly number[]) => Value {
  const source = padded(g, x, pads);
  const axes = range(sizes.length, 2);
  if (isPointwise(kernel_shape) || strides.every((s) => s === 1)) {
    const isAll = known(source).every((size, i) => i < 2 || size === sizes[i - 2]);
    const ends = (tap: readonly number[]) => tap.map((t, i) => t + (sizes[i]! - 1) * strides[i]! + 1);
    return (tap) => (isAll ? source : g.slice(source, tap, ends(tap), axes, strides));
  }
  // Every phase is seen by several taps, and a slice of it has whole rows.
  const lengths = known(source).slice(2);
  const ends = lengths.map((length, i) => Math.ceil(length / strides[i]!) * strides[i]! - length);
  const phases = phasesOf(g, padded(g, source, [...ends.map(() => 0), ...ends]), strides);
  return (tap) => {
    const starts = [...tap.map((t, i) => t % strides[i]!), ...tap.map((t, i) => Math.floor(t / strides[i]!))];
    const counts = [...strides.map(() => 1), ...sizes];
    return g.slice(
      phases,
      starts,
      starts.map((start, i) => start + counts[i]!),
      range(2 * sizes.length, 2),
    );
  };
}

/**
 * dw[k,c,t] = Σ_n,p dy[n,k,p] · x[n,c,p·stride + t]: for every tap t one product of dy with the slice of x
 * that the tap saw.
 */
export const convWeightGradSlices: PlainForm<'ConvWeightGrad'> = {
  build(g, { inputs: [x, dy], attributes, blocked }) {
    const [n, k, ...sizes] = known(dy!);
    const c = known(x!)[1]!;
    const positions = sizeOf(sizes);
    const view = tapViews(g, x!, attributes, sizes);
    const gradient = g.reshape(dy!, [n!, k!, positions]);
    const products = tapsOf(attributes.kernel_shape).map((tap) => {
      const seen = view(tap);
      const product = timesTransposed(g, gradient, g.reshape(seen, [n!, c, positions]), blocked);
      return g.sum(product, [0], 1);
    });
    const stacked = products.length === 1 ? products[0]! : g.add('Concat', products, { axis: 0 });
    return [g.reshape(g.transpose(stacked, [1, 2, 0]), [k!, c, ...attributes.kernel_shape])];
  },
};

/**
 * The same sum with one product for all taps, for few input channels, where a product a tap would be too thin.
 * The padded x is read as one long row a channel, in which a tap is a shift; dy is laid out with the same row
 * lengths, zeros filling the gaps.
 */
export const convWeightGradFlat: PlainForm<'ConvWeightGrad'> = {
  applies: ({ inputs: [x], attributes: { strides, kernel_shape } }) =>
    strides.every((s) => s === 1) && (x!.shape[1] as number) <= 2 && sizeOf(kernel_shape) > 1,
  build(g, { inputs: [x, dy], attributes: { kernel_shape, pads }, blocked }) {
    const source = padded(g, x!, pads);
    const [n, c, ...rows] = known(source);
    const [, k, ...sizes] = known(dy!);
    const total = sizeOf(rows);
    const pitch = rows.map((_, i) => sizeOf(rows.slice(i + 1)));
    const shifts = tapsOf(kernel_shape).map((tap) => tap.reduce((sum, t, i) => sum + t * pitch[i]!, 0));
    const length = total - shifts.at(-1)!;
    const gaps = rows.map((size, i) => size - sizes[i]!);
    const spread = g.add('Pad', [dy!, g.integers([0, 0, ...gaps.map(() => 0), 0, 0, ...gaps])]);
    const gradient = g.slice(g.reshape(spread, [n!, k!, total]), [0], [length], [2]);
    const long = g.reshape(source, [n!, c!, total]);
    const seen = g.add(
      'Concat',
      shifts.map((shift) => g.slice(long, [shift], [shift + length], [2])),
      { axis: 1 },
    );
    const product = g.sum(timesTransposed(g, gradient, seen, blocked), [0], 0);
    const taps = shifts.length;
    return [g.reshape(g.transpose(g.reshape(product, [k!, taps, c!]), [0, 2, 1]), [k!, c!, ...kernel_shape])];
  },
};

/** Of more channels, products a tap are thick enough. */
const MOST_STACKED_CHANNELS = 64;
/** Above this, the copies of dy cost more memory than their speed is worth. */
const MOST_STACKED_BYTES = 2 ** 29;

/**
 * The same sum with the taps of the depth axis side by side in dy: dy shifted by every tap of depth is stacked as
 * extra channels, so a third of the slices of x is enough and the products have three times the rows.
 */
export const convWeightGradStacked: PlainForm<'ConvWeightGrad'> = {
  applies: ({ inputs: [x, dy], attributes: { strides, kernel_shape } }) =>
    x!.shape.length === 5 &&
    strides.every((s) => s === 1) &&
    kernel_shape[0]! > 1 &&
    (dy!.shape[1] as number) <= MOST_STACKED_CHANNELS &&
    kernel_shape[0]! * sizeOf(known(dy!)) * Float32Array.BYTES_PER_ELEMENT <= MOST_STACKED_BYTES,
  build(g, { inputs: [x, dy], attributes: { kernel_shape, pads }, blocked }) {
    const source = padded(g, x!, pads);
    const [n, c, depth] = known(source);
    const [, k, , height, width] = known(dy!);
    const [depthTaps, ...planeTaps] = kernel_shape;
    const length = depth! * height! * width!;
    const shifted = range(depthTaps!).map((t) =>
      g.add('Pad', [dy!, g.integers([0, 0, t, 0, 0, 0, 0, depthTaps! - 1 - t, 0, 0])]),
    );
    const gradient = g.reshape(g.add('Concat', shifted, { axis: 1 }), [n!, depthTaps! * k!, length]);
    const products = tapsOf(planeTaps).map(([h, w]) => {
      const seen = g.slice(source, [h!, w!], [h! + height!, w! + width!], [3, 4]);
      return g.sum(timesTransposed(g, gradient, g.reshape(seen, [n!, c!, length]), blocked), [0], 1);
    });
    const stacked = g.reshape(g.add('Concat', products, { axis: 0 }), [products.length, depthTaps!, k! * c!]);
    const taps = g.reshape(g.transpose(stacked, [1, 0, 2]), [sizeOf(kernel_shape), k! * c!]);
    return [g.reshape(g.transpose(taps, [1, 0]), [k!, c!, ...kernel_shape])];
  },
};
