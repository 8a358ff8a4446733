/** 3×3×3 convolutions on planes by Winograd's minimal filtering along depth, four slices at a time. */
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/types.js';
import { blockedWeights, depthwise, sameKernel } from './blocked.js';
import { convolvesPlanes, depthTaps, IN_PLANE } from './convolution-planes.js';
import type { PlanesForm } from './form.js';
import { chunkRanges, neighbours, type Pair, type PlanesShape, total } from './planes.js';

/** How much of each tap of depth g₀, g₁, g₂ is in the weights of m₀ … m₅. */
const WEIGHTS = [
  [1 / 4, 0, 0],
  [-1 / 6, -1 / 6, -1 / 6],
  [-1 / 6, 1 / 6, -1 / 6],
  [1 / 24, 1 / 12, 1 / 6],
  [1 / 24, -1 / 12, 1 / 6],
  [0, 0, 1],
];

/**
 * F(4,3) along depth (Lavin & Gray 2016, section 4.3): with slices d₀ … d₅ around the output's four, a = d₄−4d₂,
 * b = d₃−4d₁, c = d₄−d₂, e = d₃−d₁ and convolutions m₀ … m₅ of
 *   c+4(d₀−d₂), a+b, a−b, c+2e, c−2e, d₅−d₃−4e,
 * with p, q = m₁±m₂ and r, s = m₃±m₄ the slices are m₀+p+r, q+2s, p+4r, q+8s+m₅: six convolutions instead of
 * twelve. Its numbers spread wider than those of F(2,3), so that it loses about one decimal digit more; it passes
 * more often over memory, which pays where weights need not be made in every run.
 * Every chunk is one pair of slices: nothing is copied to get at d₀ … d₅.
 */
export const convReluQuads: PlanesForm<'ConvRelu'> = {
  layout: 'planes',
  applies: (call) => {
    const {
      inputs: [x],
      native,
    } = call;
    return (
      convolvesPlanes(call) &&
      (x!.shape[2] as number) % 4 === 0 &&
      chunkRanges(x!.shape as unknown as PlanesShape, native!).every(([from, to]) => to - from === 1)
    );
  },
  build(g, { native }, operands) {
    const [w, bias, x] = [operands.plain(1), operands.plain(2), operands.planes(0)];
    const { block } = native!;
    const [n, inputs, ...sizes] = x.shape;
    const outputs = w.shape[0] as number;
    const spec = { outputs, inputs, kernel: [3, 3], stored: true } as const;
    const taps = depthTaps(g, w, false);
    const weights = WEIGHTS.map((shares) => blockedWeights(g, mixed(g, taps, shares), block, spec));
    const conv = (i: number, d: Value, sum?: Value) =>
      g.add('BlockedConv', sum ? [d, weights[i]!, null, sum] : [d, weights[i]!], IN_PLANE);
    const last = (i: number, d: Value, sum: Value) =>
      g.add('BlockedConv', [d, weights[i]!, bias, sum], { ...IN_PLANE, activation: 'Relu' });
    /** sum + factor · v */
    const plus = (sum: Value, factor: number, v: Value, options = {}) =>
      depthwise(g, v, sameKernel(g, v.shape[1] as number, block, [[factor]]), { sum, ...options });
    const subtract = (a: Value, b: Value) => g.add('Sub', [a, b]);
    const finish = { bias, activation: 'Relu' };

    const [evens, odds] = [x.chunks.map((pair) => pair.even), x.chunks.map((pair) => pair.odd)];
    const quads = Array.from({ length: x.chunks.length / 2 }, (_, i): Pair[] => {
      const [d1, d2, d3, d4] = [evens[2 * i]!, odds[2 * i]!, evens[2 * i + 1]!, odds[2 * i + 1]!];
      const [d0, d5] = [neighbours(g, odds, 2 * i, n, -1), neighbours(g, evens, 2 * i + 1, n, 1)];
      const [a, b, c, e] = [plus(d4, -4, d2), plus(d3, -4, d1), subtract(d4, d2), subtract(d3, d1)];
      const m2 = conv(2, subtract(a, b));
      const p = conv(1, g.add('Add', [a, b]), m2);
      const q = plus(p, -2, m2);
      const m4 = conv(4, plus(c, -2, e));
      const r = conv(3, plus(c, 2, e), m4);
      const s = plus(r, -2, m4);
      return [
        { even: last(0, plus(c, 4, subtract(d0, d2)), g.add('Add', [p, r])), odd: plus(q, 2, s, finish) },
        { even: plus(p, 4, r, finish), odd: last(5, plus(subtract(d5, d3), -4, e), plus(q, 8, s)) },
      ];
    });
    return [{ chunks: quads.flat(), shape: [n, outputs, ...sizes] }];
  },
};

/** Σ share · tap. */
function mixed(g: GraphBuilder, taps: readonly Value[], shares: readonly number[]): Value {
  const parts = taps.flatMap((tap, i) =>
    shares[i] === 0 ? [] : [g.add('Mul', [tap, g.scalar(shares[i]!)])],
  );
  return total(g, parts);
}
