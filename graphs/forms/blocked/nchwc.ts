/** Building blocks on tensors [S,C,H,W] in ONNX Runtime's blocked layout, such as the halves of slice pairs. */
import type { GraphBuilder } from '../../onnx/builder.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';

export const joined = (g: GraphBuilder, values: readonly Value[], axis: number): Value =>
  values.length === 1 ? values[0]! : g.add('Concat', values, { axis });

interface DepthwiseOptions {
  readonly bias?: Value;
  /** Added to the result. */
  readonly sum?: Value;
  readonly pads?: readonly [top: number, left: number, bottom: number, right: number];
  readonly stride?: number;
  readonly activation?: 'Relu' | 'Clip';
}

/**
 * Every channel by itself: with a 1×1 kernel x · weights + bias + sum in one pass over memory.
 * `Clip` keeps the result in 0 … 1. weights [C,1,kh,kw] blocked.
 */
export function depthwise(
  g: GraphBuilder,
  x: Value,
  weights: Value,
  { bias, sum, pads = [0, 0, 0, 0], stride = 1, activation }: DepthwiseOptions,
): Value {
  const operands = sum ? [x, weights, bias ?? null, sum] : bias ? [x, weights, bias] : [x, weights];
  return g.add('BlockedConv', operands, {
    kernel_shape: knownShape(weights.shape.slice(2), 'weights'),
    pads,
    strides: [stride, stride],
    group: x.shape[1] as number,
    ...(activation ? { activation } : {}),
    ...(activation === 'Clip' ? { activation_params: [0, 1] } : {}),
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

/** Times this, every positive number that is not denormal is above 1. */
export const STEEP = 2 ** 127;

/** A half, or its first channels, as [slices,C,H·W], not blocked. */
export function unblocked(g: GraphBuilder, x: Value, channels = x.shape[1] as number): Value {
  const [slices, , h, w] = knownShape(x.shape, 'slice pairs') as [number, number, number, number];
  return g.reshape(g.add('ReorderOutput', [x], { channels }), [slices, channels, h * w]);
}

/** Of a · bᵀ, slice by slice: [S,K,P], [S,C,P] → [S,K,C]. */
export type Product = readonly [a: Value, b: Value];

/**
 * Sums of products, each over its products and all their slices: [sums,K·C]. With few positions a slice, a sum is one product over
 * all of its slices: the results of the single ones would take more memory than a and b. Otherwise one operator adds up all.
 * @param sums as many products each
 */
export function sumsOfProducts(g: GraphBuilder, sums: readonly (readonly Product[])[]): Value {
  const [[[a, b]]] = sums as [[Product]];
  const [slices, k, positions] = knownShape(a.shape, 'slice pairs') as [number, number, number];
  const c = b.shape[1] as number;
  const multiply = (x: Value, y: Value) => g.add('FusedMatMul', [x, y], { transB: 1 });
  const inRows = (values: readonly Value[], rows: number) => {
    const each = values.map((v) => g.reshape(g.transpose(v, [1, 0, 2]), [rows, -1]));
    return joined(g, each, 1);
  };
  if (slices > 1 && positions * (k + c) < k * c) {
    const made = sums.map((products) => {
      const [left, right] = [products.map(([x]) => x), products.map(([, y]) => y)];
      return multiply(inRows(left, k), inRows(right, c));
    });
    return g.reshape(joined(g, made, 0), [sums.length, k * c]);
  }
  const all = joined(
    g,
    sums.flat().map(([x, y]) => multiply(x, y)),
    0,
  );
  return g.sum(g.reshape(all, [sums.length, -1, k * c]), [1], 0);
}

/** Weights [K,C,…] with their taps outermost, [taps,K·C]: sums of taps are then sums of rows. */
export function tapsFirst(g: GraphBuilder, w: Value): Value {
  const [k, c, ...taps] = knownShape(w.shape, 'weights') as [number, number, ...number[]];
  return g.transpose(g.reshape(w, [k * c, sizeOf(taps)]), [1, 0]);
}

interface BlockedKernel {
  readonly outputs: number;
  readonly inputs: number;
  readonly kernel: readonly [height: number, width: number];
  /** The weights are [taps,inputs·outputs]. */
  readonly transposed?: boolean;
  /** The weights are stored: ONNX Runtime arranges them once, if only the standard's operators are used for it. */
  readonly stored?: boolean;
}

/**
 * Weights [taps,outputs·inputs] in the order that {@link BlockedConv} wants,
 * [outputs/B, inputs/B, taps, B of the inputs, B of the outputs]; with half a block of inputs, which are not blocked,
 * [outputs/B, inputs, taps, B of the outputs].
 */
export function blockedWeights(g: GraphBuilder, taps: Value, block: number, spec: BlockedKernel): Value {
  const { outputs, inputs, kernel, transposed, stored } = spec;
  const count = sizeOf(kernel);
  const [k, c] = [outputs / block, inputs / block];
  const shape = [outputs, inputs, ...kernel];
  if (2 * inputs === block) {
    const blocks = g.reshape(taps, [count, k, block, inputs]);
    return g.reshape(g.transpose(blocks, [1, 3, 0, 2]), shape);
  }
  if (transposed) {
    const blocks = g.reshape(taps, [count, c, block, k, block]);
    return g.reshape(g.transpose(blocks, [3, 1, 0, 2, 4]), shape);
  }
  if (stored) {
    const blocks = g.reshape(taps, [count, k, block, c, block]);
    return g.reshape(g.transpose(blocks, [1, 3, 0, 4, 2]), shape);
  }
  // Blocking the outputs as if they were channels is the fastest way to transpose blocks.
  const rows = g.add('ReorderInput', [g.reshape(taps, [count, outputs, inputs, 1])]);
  const blocks = g.reshape(rows, [count, k, c, block * block]);
  return g.reshape(g.transpose(blocks, [1, 2, 0, 3]), shape);
}

/**
 * Weights of zeros and ones for an input that is not blocked: each output takes one value of the window, and blocks are filled up with zeros.
 * @param places of these values in [inputs,kh,kw]
 */
export function selection(
  g: GraphBuilder,
  places: readonly number[],
  window: readonly [inputs: number, height: number, width: number],
  block: number,
): Value {
  const outputs = Math.ceil(places.length / block) * block;
  const size = sizeOf(window);
  const data = new Float32Array(outputs * size);
  for (const [i, place] of places.entries())
    data[(Math.floor(i / block) * size + place) * block + (i % block)] = 1;
  return g.constant({ type: 'float32', shape: [outputs, ...window], data });
}

/** The voxels of a window of 2×2, in their order. */
export const PHASES = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
] as const;

/** For each voxel of a window of 2×2 the kernel that takes it, as {@link depthwise} wants it with stride 2. */
export const phaseKernels = (g: GraphBuilder, channels: number, block: number): Value[] =>
  PHASES.map(([row, column]) =>
    sameKernel(
      g,
      channels,
      block,
      [0, 1].map((r) => [0, 1].map((c) => Number(r === row && c === column))),
    ),
  );

/** Four phases [S,C,H,W] (upper left, upper right, lower left, lower right) interleaved: [S,C,2H,2W], all blocked. */
export function pixelShuffle(g: GraphBuilder, phases: readonly Value[], block: number): Value {
  const [slices, c, h, w] = knownShape(phases[0]!.shape, 'slice pairs') as [number, number, number, number];
  const rows = [0, 1].map((row) => {
    const pair = phases
      .slice(2 * row, 2 * row + 2)
      .map((phase) => g.reshape(phase, [(slices * c * h * w) / block, 1, block]));
    return g.reshape(g.add('Concat', pair, { axis: 1 }), [(slices * c * h) / block, 1, 2 * w * block]);
  });
  return g.reshape(g.add('Concat', rows, { axis: 1 }), [slices, c, 2 * h, 2 * w]);
}
