/**
 * Feature maps as planes: the layout in which ONNX Runtime's convolutions are fastest.
 *
 * A feature map [N,C,D,H,W] becomes two tensors, of its even and of its odd slices along depth, each
 * [D/2·N,C,H,W] (depth outermost) in ONNX Runtime's blocked layout. Depth is then a batch axis of
 * two-dimensional convolutions: a step along it is a contiguous slice, and every sum and difference of
 * neighbouring slices is one operator on whole tensors.
 */
import type { GraphBuilder } from '../onnx/builder.js';
import { knownShape, sizeOf, type Value } from '../onnx/types.js';

export interface Planes {
  /** Slices 0, 2, 4, … and 1, 3, 5, … */
  readonly even: Value;
  readonly odd: Value;
  /** [N,C,D,H,W] of the feature map. */
  readonly shape: readonly number[];
}

export const isPlanes = (value: Value | Planes): value is Planes => 'even' in value;

/** Both halves put through the same nodes. */
export const mapPlanes = (x: Planes, change: (half: Value) => Value): [even: Value, odd: Value] => [
  change(x.even),
  change(x.odd),
];

/** Whether a feature map of this shape can be planes. */
export function fitsPlanes(shape: Value['shape'], block: number | null): boolean {
  const [, c, d] = shape;
  return (
    block !== null &&
    shape.length === 5 &&
    shape.every((size) => typeof size === 'number') &&
    (c as number) % block === 0 &&
    (d as number) % 2 === 0
  );
}

export function toPlanes(g: GraphBuilder, x: Value): Planes {
  const shape = knownShape(x.shape, 'planes');
  const [n, c, d, h, w] = shape as [number, number, number, number, number];
  const halves = g.reshape(x, [n, c, d / 2, 2, h * w]);
  const [even, odd] = g
    .addMany('Split', [g.transpose(halves, [3, 2, 0, 1, 4]), g.integers([1, 1])], { axis: 0 }, 2)
    .map((half) => g.add('ReorderInput', [g.reshape(half, [(d / 2) * n, c, h, w])]));
  return { even: even!, odd: odd!, shape };
}

export function fromPlanes(g: GraphBuilder, { even, odd, shape }: Planes): Value {
  const [n, c, d, h, w] = shape as [number, number, number, number, number];
  const halves = [even, odd].map((half) =>
    g.reshape(g.add('ReorderOutput', [half], { channels: c }), [1, d / 2, n, c, h * w]),
  );
  return g.reshape(g.transpose(g.add('Concat', halves, { axis: 0 }), [2, 3, 1, 0, 4]), [...shape]);
}

/** All slices in their order, [D·N,C,H,W] blocked. */
export function allSlices(g: GraphBuilder, { even, odd, shape }: Planes): Value {
  const [n, c, d, h, w] = shape as [number, number, number, number, number];
  const rows = [even, odd].map((half) => g.reshape(half, [d / 2, 1, n * c * h * w]));
  return g.reshape(g.add('Concat', rows, { axis: 1 }), [d * n, c, h, w]);
}

/** The reverse of {@link allSlices}. */
export function splitSlices(g: GraphBuilder, slices: Value, shape: readonly number[]): Planes {
  const [n, c, d, h, w] = shape as [number, number, number, number, number];
  const pairs = g.reshape(slices, [d / 2, 2, n * c * h * w]);
  const [even, odd] = g
    .addMany('Split', [pairs, g.integers([1, 1])], { axis: 1 }, 2)
    .map((half) => g.reshape(half, [(d / 2) * n, c, h, w]));
  return { even: even!, odd: odd!, shape };
}

/** The slice before (−1) or after (1) each; zeros at the end. x is a half, or all slices, of `batch` samples. */
export function neighbours(g: GraphBuilder, x: Value, batch: number, step: -1 | 1): Value {
  const [count, ...slice] = knownShape(x.shape, 'planes');
  const none = g.add('Expand', [g.scalar(0), g.integers([batch, ...slice])]);
  const rest = step < 0 ? g.slice(x, [0], [count! - batch], [0]) : g.slice(x, [batch], [count!], [0]);
  return g.add('Concat', step < 0 ? [none, rest] : [rest, none], { axis: 0 });
}

interface DepthwiseOptions {
  readonly bias?: Value;
  /** Added to the result. */
  readonly sum?: Value;
  readonly kernel?: readonly [height: number, width: number];
  readonly pads?: readonly [top: number, left: number, bottom: number, right: number];
  readonly stride?: number;
  readonly relu?: boolean;
}

/** Every channel by itself: with a 1×1 kernel x · weights + bias + sum in one pass over memory. weights [C,1,kh,kw] blocked. */
export function depthwise(
  g: GraphBuilder,
  x: Value,
  weights: Value,
  { bias, sum, kernel = [1, 1], pads = [0, 0, 0, 0], stride = 1, relu }: DepthwiseOptions,
): Value {
  const operands = sum ? [x, weights, bias ?? null, sum] : bias ? [x, weights, bias] : [x, weights];
  return g.add('BlockedConv', operands, {
    kernel_shape: kernel,
    pads,
    strides: [stride, stride],
    group: x.shape[1] as number,
    ...(relu ? { activation: 'Relu' } : {}),
  });
}

/** The same small kernel [kh,kw] for every channel, as {@link depthwise} wants it. */
export function sameKernel(
  g: GraphBuilder,
  channels: number,
  block: number,
  kernel: readonly (readonly number[])[],
): Value {
  const taps = kernel.flat();
  const data = new Float32Array(channels * taps.length);
  for (let i = 0; i < data.length; i++) data[i] = taps[Math.floor(i / block) % taps.length]!;
  return g.constant({ type: 'float32', shape: [channels, 1, kernel.length, kernel[0]!.length], data });
}

/** A vector [C] as the weights of a 1×1 {@link depthwise} convolution. */
export const perChannel = (g: GraphBuilder, v: Value): Value => g.reshape(v, [v.shape[0] as number, 1, 1, 1]);

/** Sum of every channel over a half: [S,C,H,W] blocked → [C]. */
export function channelSums(
  g: GraphBuilder,
  x: Value,
  block: number,
  reduce: 'ReduceSum' | 'ReduceSumSquare' = 'ReduceSum',
): Value {
  const [slices, c, h, w] = knownShape(x.shape, 'planes') as [number, number, number, number];
  const blocks = g.reshape(x, [(slices * c) / block, h * w, block]);
  const sums = g.add(reduce, [blocks, g.integers([1])], { keepdims: 0 });
  return g.sum(g.reshape(sums, [slices, c]), [0], 0);
}

/**
 * Weights [K,C,taps] in the order that {@link BlockedConv} wants, for a kernel of `kernel` height and width:
 * K channels from C, or with `transposed` C channels from K.
 */
export function blockedWeights(
  g: GraphBuilder,
  w: Value,
  block: number,
  kernel: readonly [height: number, width: number],
  transposed = false,
): Value {
  const [k, c] = knownShape(w.shape, 'weights') as [number, number];
  const blocks = g.reshape(w, [k / block, block, c / block, block, sizeOf(kernel)]);
  const ordered = g.transpose(blocks, transposed ? [2, 0, 4, 1, 3] : [0, 2, 4, 3, 1]);
  return g.reshape(ordered, [...(transposed ? [c, k] : [k, c]), ...kernel]);
}
