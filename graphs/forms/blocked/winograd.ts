/** Winograd's minimal filtering (Winograd 1980; Lavin & Gray 2016) of slice pairs, along depth. */
import type { GraphBuilder } from '../../onnx/builder.js';
import type { GivenAttributes } from '../../onnx/operator.js';
import type { AttributesOf } from '../../onnx/ops/index.js';
import type { Value } from '../../onnx/types.js';
import type { BlockedLayout } from '../layout.js';
import { depthwise, sameKernel } from './nchwc.js';
import {
  chunkRanges,
  type MapShape,
  neighbours,
  ofWhole,
  type Pair,
  type SlicePairs,
  wholeOf,
} from './slice-pairs.js';

/** What is done where the last convolution of a slice writes its result. */
interface Last {
  readonly bias?: Value;
  readonly activation?: 'Relu';
}

/** A way to make a 3×3×3 convolution of two-dimensional ones. */
export interface DepthFiltering {
  /** Whether slice pairs of this shape can be worked on. */
  applies(shape: MapShape, blocked: BlockedLayout): boolean;
  /**
   * @param taps weights of each tap of depth, [9,…]
   * @param arrange brings such weights into the order that BlockedConv wants; they may have several `times` the channels
   */
  convolve(
    g: GraphBuilder,
    x: SlicePairs,
    taps: readonly Value[],
    arrange: (weights: Value, times?: number) => Value,
    last: Last,
    blocked: BlockedLayout,
  ): SlicePairs;
}

/** A convolution of single slices. */
export const IN_PLANE: GivenAttributes<AttributesOf<'BlockedConv'>> = {
  kernel_shape: [3, 3],
  pads: [1, 1, 1, 1],
};

/** Two-dimensional convolutions, numbered by their weights. */
const convolutions =
  (g: GraphBuilder, weights: readonly Value[]) =>
  (i: number, d: Value, sum?: Value, { bias, activation }: Last = {}): Value =>
    g.add('BlockedConv', sum ? [d, weights[i]!, bias ?? null, sum] : [d, weights[i]!], {
      ...IN_PLANE,
      ...(activation ? { activation } : {}),
    });

const scaled = (g: GraphBuilder, v: Value, factor: number): Value => g.add('Mul', [v, g.scalar(factor)]);
/** a + b and a − b */
const sumAndDifference = (g: GraphBuilder, a: Value, b: Value): [Value, Value] => [
  g.add('Add', [a, b]),
  g.add('Sub', [a, b]),
];

/**
 * Of only two slices, as one convolution: its input has the channels of both, and so has its output.
 * With taps g₀, g₁, g₂ the slices are d₀g₁+d₁g₂ and d₀g₀+d₁g₁.
 */
export const bothSlices: DepthFiltering = {
  applies: (shape, blocked) => shape[2] === 2 && shape[1] >= blocked.block,
  convolve(g, x, taps, arrange, { bias, activation }, blocked) {
    const [n, c, d, h, w] = x.shape;
    const [g0, g1, g2] = taps.map((tap) => g.reshape(tap, [9, -1, c])) as [Value, Value, Value];
    const row = (...both: Value[]) => g.add('Concat', both, { axis: 2 });
    const both = g.add('Concat', [row(g1, g2), row(g0, g1)], { axis: 1 });
    const weights = arrange(both, 2);
    const y = g.add(
      'BlockedConv',
      [
        g.reshape(wholeOf(g, x), [n, 2 * c, h, w]),
        weights,
        bias ? g.add('Concat', [bias, bias], { axis: 0 }) : null,
      ],
      { ...IN_PLANE, ...(activation ? { activation } : {}) },
    );
    return ofWhole(g, y, [n, (weights.shape[0] as number) / 2, d, h, w], blocked);
  },
};

/**
 * F(2,3): with slices d₀ … d₃ around the output's two, and taps g₀, g₁, g₂,
 *   m₁ = (d₀−d₂)g₀, m₂ = (d₁+d₂)(g₀+g₁+g₂)/2, m₃ = (d₂−d₁)(g₀−g₁+g₂)/2, m₄ = (d₃−d₁)g₂,
 * the slices are m₁+m₂+m₃ and m₂−m₃+m₄: four convolutions instead of six.
 */
export const winogradF23: DepthFiltering = {
  applies: () => true,
  convolve(g, x, taps, arrange, last) {
    const [n, , ...sizes] = x.shape;
    const [g0, g1, g2] = taps as [Value, Value, Value];
    const middle = sumAndDifference(g, g.add('Add', [g0, g2]), g1).map((w) => scaled(g, w, 1 / 2));
    const weights = [g0, ...middle, g2].map((w) => arrange(w));
    const conv = convolutions(g, weights);
    const [evens, odds] = [x.chunks.map((pair) => pair.even), x.chunks.map((pair) => pair.odd)];
    const chunks = x.chunks.map(({ even, odd }, i) => {
      const before = neighbours(g, odds, i, n, -1);
      const after = neighbours(g, evens, i, n, 1);
      const m2 = conv(1, g.add('Add', [even, odd]));
      const m3 = conv(2, g.add('Sub', [odd, even]));
      return {
        even: conv(0, g.add('Sub', [before, odd]), g.add('Add', [m2, m3]), last),
        odd: conv(3, g.add('Sub', [after, even]), g.add('Sub', [m2, m3]), last),
      };
    });
    return { chunks, shape: [n, weights[0]!.shape[0] as number, ...sizes] };
  },
};

/**
 * F(4,3): with slices d₀ … d₅ around the output's four, a = d₄−4d₂, b = d₃−4d₁, c = d₄−d₂, e = d₃−d₁, and convolutions
 * m₀ … m₅ of
 *   c+4(d₀−d₂), a+b, a−b, c+2e, c−2e, d₅−d₃−4e,
 * with p, q = m₁±m₂ and r, s = m₃±m₄ the slices are m₀+p+r, q+2s, p+4r, q+8s+m₅: six convolutions instead of twelve,
 * but more passes over memory, and results that are a little less exact.
 * Every chunk must be one pair of slices: then nothing is copied to get at d₀ … d₅.
 */
export const winogradF43: DepthFiltering = {
  applies: (shape, blocked) =>
    shape[1] >= blocked.block &&
    shape[2] % 4 === 0 &&
    chunkRanges(shape, blocked).every(([from, to]) => to - from === 1),
  convolve(g, x, taps, arrange, last) {
    const [n, , ...sizes] = x.shape;
    const [g0, g1, g2] = taps as [Value, Value, Value];
    const outer = scaled(g, g.add('Add', [g0, g2]), -1 / 6);
    const far = g.add('Add', [scaled(g, g0, 1 / 24), scaled(g, g2, 1 / 6)]);
    const weights = [
      scaled(g, g0, 1 / 4),
      ...sumAndDifference(g, outer, scaled(g, g1, -1 / 6)),
      ...sumAndDifference(g, far, scaled(g, g1, 1 / 12)),
      g2,
    ].map((w) => arrange(w));
    const conv = convolutions(g, weights);
    /** sum + factor · v */
    const plus = (sum: Value, factor: number, v: Value, then: Last = {}) =>
      depthwise(g, v, sameKernel(g, v.shape[1] as number, 1, [[factor]]), { sum, ...then });
    const subtract = (a: Value, b: Value) => g.add('Sub', [a, b]);

    const [evens, odds] = [x.chunks.map((pair) => pair.even), x.chunks.map((pair) => pair.odd)];
    const groups = Array.from({ length: x.chunks.length / 2 }, (_, i): Pair[] => {
      const [d1, d2, d3, d4] = [evens[2 * i]!, odds[2 * i]!, evens[2 * i + 1]!, odds[2 * i + 1]!];
      const [d0, d5] = [neighbours(g, odds, 2 * i, n, -1), neighbours(g, evens, 2 * i + 1, n, 1)];
      const [c, e] = [subtract(d4, d2), subtract(d3, d1)];
      const [first, second] = sumAndDifference(g, plus(d4, -4, d2), plus(d3, -4, d1));
      const m2 = conv(2, second);
      const p = conv(1, first, m2);
      const q = plus(p, -2, m2);
      const m4 = conv(4, plus(c, -2, e));
      const r = conv(3, plus(c, 2, e), m4);
      const s = plus(r, -2, m4);
      return [
        { even: conv(0, plus(c, 4, subtract(d0, d2)), g.add('Add', [p, r]), last), odd: plus(q, 2, s, last) },
        { even: plus(p, 4, r, last), odd: conv(5, plus(subtract(d5, d3), -4, e), plus(q, 8, s), last) },
      ];
    });
    return { chunks: groups.flat(), shape: [n, weights[0]!.shape[0] as number, ...sizes] };
  },
};
