/** The gradients of convolutions of any groups, strides and dilations, for all that convolves. */
import { exchanged, padded, reversed } from '../../onnx/blocks.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import { resolveWindow, tapsOf, type Window } from '../../onnx/ops/spatial.js';
import { type FloatType, knownShape, sizeOf, type Value } from '../../onnx/types.js';

export interface Convolution extends Required<Window> {
  readonly group: number;
}

const known = (value: Value) => knownShape(value.shape, 'a gradient');
/** Products of one tap at a time are slower than one convolution when there are more taps than this. */
const MOST_TAPS = 64;
const ones = (values: readonly number[]) => values.every((v) => v === 1);
/** Of one group without dilation: what high-level operators, which have fast forms, compute. */
const isPlain = ({ group, dilations }: Convolution) => group === 1 && ones(dilations);

export const convolutionOf = (
  attributes: Partial<Window> & { readonly group: number },
  w: Value,
): Convolution => ({
  ...resolveWindow(attributes, known(w).slice(2)),
  group: attributes.group,
});

/** dy [N,K,…], w [K,C/group,…] → dx of Conv(x, w), of shape `inputShape` [N,C,…]. */
export function convInputGradient(
  g: GraphBuilder,
  dy: Value,
  w: Value,
  convolution: Convolution,
  inputShape: readonly number[],
): Value {
  const { group, dilations, ...window } = convolution;
  if (isPlain(convolution)) return g.add('ConvInputGrad', [dy, w], { ...window, input_shape: inputShape });
  const { kernel_shape, strides, pads } = window;
  const rank = kernel_shape.length;
  const reach = kernel_shape.map((k, i) => (k - 1) * dilations[i]!);
  const mirrored = pads.map((p, i) => reach[i % rank]! - p);
  if (ones(strides) && mirrored.every((p) => p >= 0)) {
    const flipped = reversed(g, exchanged(g, w, group));
    return g.add('Conv', [dy, flipped], { kernel_shape, pads: mirrored, dilations, group });
  }
  const output_padding = known(dy)
    .slice(2)
    .map((size, i) => {
      const reached = (size - 1) * strides[i]! + reach[i]! + 1 - pads[i]! - pads[i + rank]!;
      return inputShape[i + 2]! - reached;
    });
  return g.add('ConvTranspose', [dy, w], { ...window, dilations, group, output_padding });
}

/** Of longer rows, in widths of the kernel, most products would be of places that no tap joins. */
const WIDEST = 32;

/** Whether rows are short enough for {@link depthwiseWeightGradient}. */
const isShort = (sizes: readonly number[], { kernel_shape }: Convolution) =>
  kernel_shape.length > 1 && sizes.at(-1)! < WIDEST * kernel_shape.at(-1)!;

/**
 * dw[k,0,t,q] = Σ_n,p,i dy[n,k,p,i] · x[n,c,p+t,i+q] where each channel c is its own group: for each tap t of the outer axes, the product of
 * all rows of dy with those of x that it saw is a matrix of the places in both, and each tap q of width the sum of a diagonal.
 */
function depthwiseWeightGradient(
  g: GraphBuilder,
  x: Value,
  dy: Value,
  { kernel_shape, strides, pads, dilations }: Convolution,
): Value {
  const [n, c] = known(x) as [number, number];
  const [, k, ...counts] = known(dy) as [number, number, ...number[]];
  const [width, rows] = [counts.at(-1)!, sizeOf(counts.slice(0, -1))];
  const source = padded(g, x, pads);
  const seenWidth = known(source).at(-1)!;
  const columns = g.transpose(g.reshape(dy, [n, c, k / c, rows, width]), [0, 1, 2, 4, 3]);
  const products = tapsOf(kernel_shape.slice(0, -1)).map((tap) => {
    const starts = tap.map((t, i) => t * dilations[i]!);
    const ends = starts.map((start, i) => start + (counts[i]! - 1) * strides[i]! + 1);
    const axes = starts.map((_, i) => i + 2);
    const seen = g.slice(source, starts, ends, axes, strides.slice(0, -1));
    const product = g.add('MatMul', [columns, g.reshape(seen, [n, c, 1, rows, seenWidth])]);
    return g.reshape(g.sum(product, [0], 0), [1, k, width * seenWidth]);
  });
  const taps = kernel_shape.at(-1)!;
  const isTap = (i: number, place: number, q: number) =>
    place === i * strides.at(-1)! + q * dilations.at(-1)!;
  const diagonals = Array.from({ length: width * seenWidth * taps }, (_, index) => {
    const [place, q] = [Math.floor(index / taps), index % taps];
    return Number(isTap(Math.floor(place / seenWidth), place % seenWidth, q));
  });
  const constant = g.floats(diagonals, [width * seenWidth, taps], x.type as FloatType);
  const sums = g.add('MatMul', [g.add('Concat', products, { axis: 0 }), constant]);
  return g.reshape(g.transpose(sums, [1, 0, 2]), [k, 1, ...kernel_shape]);
}

/**
 * x [N,C,…], dy [N,K,…] → dw [K,C/group,…] of Conv(x, w): again a convolution, whose batch are x's channels, whose channels
 * are the batch, and in which strides and dilations change places.
 */
export function convWeightGradient(g: GraphBuilder, x: Value, dy: Value, convolution: Convolution): Value {
  const { group, dilations, ...window } = convolution;
  if (isPlain(convolution) && sizeOf(window.kernel_shape) <= MOST_TAPS)
    return g.add('ConvWeightGrad', [x, dy], window);
  const { kernel_shape, strides, pads } = window;
  const [n, c, ...sizes] = known(x);
  if (group > 1 && group === c && isShort(sizes, convolution))
    return depthwiseWeightGradient(g, x, dy, convolution);
  const spatial = (from: number) => sizes.map((_, i) => i + from);
  const grouped = g.transpose(g.reshape(x, [n!, group, c! / group, ...sizes]), [2, 1, 0, ...spatial(3)]);
  const products = g.add(
    'Conv',
    [g.reshape(grouped, [c! / group, group * n!, ...sizes]), g.transpose(dy, [1, 0, ...spatial(2)])],
    { strides: dilations, dilations: strides, pads, group },
  );
  // A stride may leave a rest of x that no window reached.
  const zeros = kernel_shape.map(() => 0);
  const taps = g.slice(products, zeros, kernel_shape, spatial(2));
  return g.transpose(taps, [1, 0, ...spatial(2)]);
}
