/** What weight gradients are made of on a GPU: what the taps of a kernel see, side by side as channels, and products of channels. */
import type { GraphBuilder } from '../../onnx/builder.js';
import { type FloatType, knownShape, sizeOf, type Value } from '../../onnx/types.js';
import { timesTransposed } from '../reference/convolution.js';

const known = (value: Value) => knownShape(value.shape, 'a convolution');

/** x [N,C,D,H,W] slice by slice, [N,D,C,H,W]. */
export const bySlices = (g: GraphBuilder, x: Value): Value => g.transpose(x, [0, 2, 1, 3, 4]);

/** Zeros before and behind an axis. `Pad` does the same, but its kernel for CUDA takes thirty times as long. */
export function bordered(g: GraphBuilder, x: Value, axis: number): Value {
  const shape = known(x).map((size, i) => (i === axis ? 1 : size));
  const zeros = g.add('Expand', [g.scalar(0, x.type), g.integers(shape)]);
  return g.add('Concat', [zeros, x, zeros], { axis });
}

/** How a kernel moves along an axis. */
export interface Steps {
  readonly taps: number;
  readonly stride: number;
  /** Positions that it takes. */
  readonly count: number;
}

/** What every tap sees along a bordered axis, which becomes two: [taps, positions], or the other way round. */
export function seenByTaps(
  g: GraphBuilder,
  x: Value,
  axis: number,
  { taps, stride, count }: Steps,
  order: 'tapsFirst' | 'positionsFirst',
): Value {
  const [outer, inner] = order === 'tapsFirst' ? [taps, count] : [count, taps];
  const data = BigInt64Array.from({ length: taps * count }, (_, i) => {
    const [a, b] = [Math.floor(i / inner), i % inner];
    const [tap, position] = order === 'tapsFirst' ? [a, b] : [b, a];
    return BigInt(position * stride + tap);
  });
  return g.add('Gather', [x, g.constant({ type: 'int64', shape: [outer, inner], data })], { axis });
}

/** What one tap sees along a bordered axis. */
export const seenByTap = (
  g: GraphBuilder,
  x: Value,
  axis: number,
  { stride, count }: Steps,
  tap: number,
): Value => g.slice(x, [tap], [tap + (count - 1) * stride + 1], [axis], [stride]);

/** Σ over slices and voxels of a · bᵀ, of a [slices, rows, voxels] and b [slices, columns, voxels]: [rows, columns]. */
export function sumOfProducts(g: GraphBuilder, a: Value, b: Value): Value {
  const products = timesTransposed(g, a, b, null);
  const [slices, rows, columns] = known(products);
  const ones = g.floats(new Array<number>(slices!).fill(1), [1, slices!], a.type as FloatType);
  const sum = g.add('MatMul', [ones, g.reshape(products, [slices!, rows! * columns!])]);
  return g.reshape(sum, [rows!, columns!]);
}

/**
 * The most values of a tensor on the way to a weight gradient: a gigabyte in float32. ONNX Runtime's CUDA kernels count
 * values in 32 bits, and what a step needs at most is decided by these tensors.
 */
export const MOST_VALUES = 2 ** 28;

/**
 * The sum of a gradient over groups of samples, as few as keep every tensor within {@link MOST_VALUES}.
 * @param values the values that the largest tensor on the way has for a sample
 * @param build the gradient of a group of samples, from the group's x and dy
 */
export function overSamples(
  g: GraphBuilder,
  [x, dy]: readonly [Value, Value],
  values: number,
  build: (x: Value, dy: Value) => Value,
  most = MOST_VALUES,
): Value {
  const samples = x.shape[0] as number;
  const groups = Math.ceil(samples / Math.max(1, Math.floor(most / values)));
  if (groups === 1) return build(x, dy);
  const starts = Array.from({ length: groups + 1 }, (_, i) => Math.round((i * samples) / groups));
  return starts
    .slice(1)
    .map((end, i) => build(g.slice(x, [starts[i]!], [end], [0]), g.slice(dy, [starts[i]!], [end], [0])))
    .reduce((sum, part) => g.add('Add', [sum, part]));
}

/** Values of a tensor with other numbers of channels than x has. */
export const valuesOf = (x: Value, channels: number): number => channels * sizeOf(known(x).slice(2));
