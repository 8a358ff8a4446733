/**
 * Feature maps as slice pairs: the layout in which ONNX Runtime's convolutions are fastest.
 *
 * A feature map [N,C,D,H,W] becomes pairs of tensors, of its even and of its odd slices along depth, each
 * [slices·N,C,H,W] (depth outermost) in ONNX Runtime's blocked layout. Depth is then a batch axis of
 * two-dimensional convolutions: a step along it is a contiguous slice, and every sum and difference of
 * neighbouring slices is one operator on whole tensors. A feature map of half a block of channels is not blocked:
 * convolutions take it as it is. Large feature maps are cut along depth into chunks, so
 * that what one operator writes is still in the processor's cache when the next one reads it. Small ones may also be one tensor
 * of all slices: then fewer operators have to be started.
 */
import type { GraphBuilder } from '../../onnx/builder.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import type { BlockedLayout } from '../layout.js';
import { joined } from './nchwc.js';

export interface Pair {
  readonly even: Value;
  readonly odd: Value;
}

export interface SlicePairs {
  /** The slices 0, 2, 4, … and 1, 3, 5, …, cut into parts of consecutive pairs. */
  readonly chunks: readonly Pair[];
  /**
   * All slices in one tensor of any shape, sample by sample and in their order, where they were made so. The pairs are then parts of
   * it: nodes that cut them out, but that nobody reads, are dropped when a graph has been lowered.
   */
  readonly whole?: Value;
  /** [N,C,D,H,W] of the feature map. */
  readonly shape: MapShape;
}
export type MapShape = readonly [n: number, c: number, d: number, h: number, w: number];

export const isSlicePairs = (value: Value | SlicePairs): value is SlicePairs => 'chunks' in value;

/** The range of pairs of slices in each chunk. It does not depend on the channels, so that layers fit together. */
export function chunkRanges(
  [n, , d, h, w]: MapShape,
  { chunk }: BlockedLayout,
): (readonly [from: number, to: number])[] {
  const pairs = d / 2;
  const count = Math.max(1, Math.min(pairs, Math.round((2 * pairs * n * h * w) / chunk)));
  const bound = (i: number) => Math.round((i * pairs) / count);
  return Array.from({ length: count }, (_, i) => [bound(i), bound(i + 1)]);
}

export const shapeOf = (x: Value): MapShape => knownShape(x.shape, 'slice pairs') as unknown as MapShape;

/** Whether a feature map of this shape can be slice pairs in whole blocks of channels. */
export function fitsSlicePairs(
  shape: Value['shape'],
  blocked: BlockedLayout | null,
): blocked is BlockedLayout {
  const [, c, d] = shape;
  return (
    blocked !== null &&
    shape.length === 5 &&
    shape.every((size) => typeof size === 'number') &&
    (c as number) % blocked.block === 0 &&
    (d as number) % 2 === 0
  );
}

/** Whether it can be slice pairs that are not blocked, with half as many channels as a block has. */
export const fitsHalfBlock = (shape: Value['shape'], blocked: BlockedLayout | null): boolean =>
  blocked !== null &&
  2 * (shape[1] as number) === blocked.block &&
  fitsSlicePairs(shape.with(1, blocked.block), blocked);

/** Corresponding halves of feature maps that are cut alike, put through the same nodes. */
export function mapHalves(
  maps: readonly SlicePairs[],
  change: (...halves: Value[]) => Value,
  shape = maps[0]!.shape,
): SlicePairs {
  const half = (i: number, parity: keyof Pair) => change(...maps.map((p) => p.chunks[i]![parity]));
  return { chunks: maps[0]!.chunks.map((_, i) => ({ even: half(i, 'even'), odd: half(i, 'odd') })), shape };
}

/** All halves, one after the other. */
export const halvesOf = ({ chunks }: SlicePairs): Value[] => chunks.flatMap(({ even, odd }) => [even, odd]);

/** Two slices of half a block of channels each, from blocks that hold both: [S,2C,H,W]. */
export function halvesOfBlocks(g: GraphBuilder, both: Value): Pair {
  const channels = both.shape[1] as number;
  const plain = g.add('ReorderOutput', [both], { channels });
  const [even, odd] = g.addMany('Split', [plain, g.integers([channels / 2, channels / 2])], { axis: 1 }, 2);
  return { even: even!, odd: odd! };
}

/** The sum of several values of one shape. */
export const total = (g: GraphBuilder, values: readonly Value[]): Value =>
  values.reduce((sum, value) => g.add('Add', [sum, value]));

/** Rows from … to of axis 0. */
const rows = (g: GraphBuilder, x: Value, from: number, to: number): Value =>
  from === 0 && to === x.shape[0] ? x : g.slice(x, [from], [to], [0]);

export function toSlicePairs(g: GraphBuilder, x: Value, blocked: BlockedLayout): SlicePairs {
  const shape = shapeOf(x);
  const [n, c, d, h, w] = shape;
  const ordered = g.transpose(g.reshape(x, [n, c, d / 2, 2, h * w]), [3, 2, 0, 1, 4]);
  const [even, odd] = g
    .addMany('Split', [ordered, g.integers([1, 1])], { axis: 0 }, 2)
    .map((half) => g.reshape(half, [(d / 2) * n, c, h, w])) as [Value, Value];
  const chunks = chunkRanges(shape, blocked).map(([from, to]) => {
    const half = (v: Value) => {
      const slices = rows(g, v, from * n, to * n);
      return c < blocked.block ? slices : g.add('ReorderInput', [slices]);
    };
    return { even: half(even), odd: half(odd) };
  });
  return { chunks, shape };
}

export function fromSlicePairs(
  g: GraphBuilder,
  { chunks, whole, shape }: SlicePairs,
  { block }: BlockedLayout,
): Value {
  const [n, c, d, h, w] = shape;
  if (whole) {
    const slices = g.reshape(whole, [n * d, c, h, w]);
    const plain = c < block ? slices : g.add('ReorderOutput', [slices], { channels: c });
    return g.reshape(g.transpose(g.reshape(plain, [n, d, c, h * w]), [0, 2, 1, 3]), [...shape]);
  }
  const half = (parity: keyof Pair) => {
    const parts = chunks.map((pair) =>
      c < block ? pair[parity] : g.add('ReorderOutput', [pair[parity]], { channels: c }),
    );
    return g.reshape(joined(g, parts, 0), [1, d / 2, n, c, h * w]);
  };
  const ordered = g.add('Concat', [half('even'), half('odd')], { axis: 0 });
  return g.reshape(g.transpose(ordered, [2, 3, 1, 0, 4]), [...shape]);
}

/** All slices in their order, [D·N,C,H,W] blocked. */
export function allSlices(g: GraphBuilder, { chunks, shape: [n, c, d, h, w] }: SlicePairs): Value {
  const size = n * c * h * w;
  const parts = chunks.map(({ even, odd }) => {
    const pairs = sizeOf(even.shape as number[]) / size;
    return g.add('Concat', [g.reshape(even, [pairs, 1, size]), g.reshape(odd, [pairs, 1, size])], {
      axis: 1,
    });
  });
  return g.reshape(joined(g, parts, 0), [d * n, c, h, w]);
}

/** The reverse of {@link allSlices}. @param parts consecutive slices in their order */
export function splitSlices(
  g: GraphBuilder,
  parts: readonly Value[],
  shape: MapShape,
  blocked: BlockedLayout,
): SlicePairs {
  const [n, c, d, h, w] = shape;
  const all = joined(g, parts, 0);
  const pairs = g.reshape(all, [d / 2, 2, n * c * h * w]);
  const chunks = chunkRanges(shape, blocked).map(([from, to]) => {
    const [even, odd] = g
      .addMany('Split', [rows(g, pairs, from, to), g.integers([1, 1])], { axis: 1 }, 2)
      .map((half) => g.reshape(half, [(to - from) * n, c, h, w]));
    return { even: even!, odd: odd! };
  });
  return { chunks, shape, ...(n === 1 ? { whole: all } : {}) };
}

/** All slices in one tensor: {@link SlicePairs.whole}. */
export function wholeOf(g: GraphBuilder, x: SlicePairs): Value {
  const [n, c, d, h, w] = x.shape;
  return x.whole ?? g.transpose(g.reshape(allSlices(g, x), [d, n, c * h * w]), [1, 0, 2]);
}

export function ofWhole(g: GraphBuilder, whole: Value, shape: MapShape, blocked: BlockedLayout): SlicePairs {
  const [n, c, d, h, w] = shape;
  const byDepth = n === 1 ? whole : g.transpose(g.reshape(whole, [n, d, c * h * w]), [1, 0, 2]);
  return { ...splitSlices(g, [byDepth], shape, blocked), whole };
}

const zeros = (g: GraphBuilder, shape: readonly number[]): Value =>
  g.add('Expand', [g.scalar(0), g.integers(shape)]);

/** Slices from … to of all slices of `batch` samples; zeros where there are none. */
export function slicesFrom(g: GraphBuilder, all: Value, batch: number, from: number, to: number): Value {
  const [count, ...slice] = knownShape(all.shape, 'slice pairs');
  const [first, last] = [Math.max(0, from * batch), Math.min(count!, to * batch)];
  const missing = (number: number) => (number > 0 ? [zeros(g, [number, ...slice])] : []);
  const known = last > first ? [rows(g, all, first, last)] : [];
  return joined(g, [...missing(first - from * batch), ...known, ...missing(to * batch - last)], 0);
}

/**
 * The slice before (−1) or after (1) each of a half's; zeros at the end.
 * @param halves the even, or the odd, halves of all chunks of `batch` samples
 */
export function neighbours(
  g: GraphBuilder,
  halves: readonly Value[],
  chunk: number,
  batch: number,
  step: -1 | 1,
): Value {
  const half = halves[chunk]!;
  const count = half.shape[0] as number;
  const beyond = halves[chunk + step];
  const [next, size] = [beyond, (beyond?.shape[0] ?? 0) as number];
  const edge = !next
    ? zeros(g, [batch, ...knownShape(half.shape.slice(1), 'slice pairs')])
    : step < 0
      ? rows(g, next, size - batch, size)
      : rows(g, next, 0, batch);
  if (count === batch) return edge;
  const rest = step < 0 ? rows(g, half, 0, count - batch) : rows(g, half, batch, count);
  return g.add('Concat', step < 0 ? [edge, rest] : [rest, edge], { axis: 0 });
}

/**
 * Sums of every channel, each [C], of feature maps whose halves are made one by one: all sums of a half are taken
 * before the next half, while it is still in the cache.
 */
export function channelSums(g: GraphBuilder, maps: readonly SlicePairs[]): Value[] {
  const [, channels, , h, w] = maps[0]!.shape;
  const means = mapHalves(maps, (...halves) =>
    joined(
      g,
      halves.map((half) => g.add('BlockedGlobalAveragePool', [half])),
      1,
    ),
  );
  const summed = g.sum(joined(g, halvesOf(means), 0), [0, 2, 3], 0);
  const sums = g.add('Mul', [summed, g.scalar(h * w)]);
  if (maps.length === 1) return [sums];
  return g.addMany('Split', [sums, g.integers(maps.map(() => channels))], { axis: 0 }, maps.length);
}

/** Every second slice of x [D,N,…] from `first` on, `count` of them, as [count·N,…]. */
export function everySecond(g: GraphBuilder, x: Value, first: number, count: number): Value {
  const [, n, ...rest] = knownShape(x.shape, 'slice pairs');
  return g.reshape(g.slice(x, [first], [first + 2 * count - 1], [0], [2]), [count * n!, ...rest]);
}
