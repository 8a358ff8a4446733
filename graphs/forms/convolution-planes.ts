/** 3×3×3 convolutions on planes, by Winograd's minimal filtering along depth. */
import type { GraphBuilder } from '../onnx/builder.js';
import type { ResolvedAttributes } from '../onnx/operator.js';
import type { AttributesOf } from '../onnx/ops/index.js';
import { knownShape, type Value } from '../onnx/types.js';
import { timesTransposed } from './convolution.js';
import type { PlanesForm } from './form.js';
import {
  blockedWeights,
  depthwise,
  fitsPlanes,
  mapPlanes,
  neighbours,
  type Planes,
  sameKernel,
} from './planes.js';

const IN_PLANE = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };

type Window = Pick<ResolvedAttributes<AttributesOf<'ConvWeightGrad'>>, 'kernel_shape' | 'strides' | 'pads'>;

/** 3×3×3, stride 1, one voxel of padding: the size stays. */
const keepsSize = ({ kernel_shape, strides, pads }: Partial<Window>): boolean =>
  kernel_shape?.join() === '3,3,3' && (strides ?? []).every((s) => s === 1) && pads?.join() === '1,1,1,1,1,1';

/** Whether both are channels of whole blocks, and x has planes. */
function fits(x: Value, y: Pick<Value, 'shape'>, block: number | null): boolean {
  return fitsPlanes(x.shape, block) && (y.shape[1] as number) % block! === 0;
}

/** w [K,C,3,3,3] → for each tap of depth [K,C,9], first to last; backwards in every axis with `flipped`. */
function depthTaps(g: GraphBuilder, w: Value, flipped: boolean): Value[] {
  const [k, c] = knownShape(w.shape, 'weights') as [number, number];
  const taps = g.reshape(w, [k, c, 27]);
  const ordered = flipped ? g.slice(taps, [-1], [-28], [2], [-1]) : taps;
  return g
    .addMany('Split', [g.reshape(ordered, [k, c, 3, 9]), g.integers([1, 1, 1])], { axis: 2 }, 3)
    .map((tap) => g.reshape(tap, [k, c, 9]));
}

/**
 * F(2,3) along depth (Winograd 1980; Lavin & Gray 2016, section 4.1): with slices d₀…d₃ = odd₍ᵢ₋₁₎, evenᵢ, oddᵢ, even₍ᵢ₊₁₎
 * and taps g₀, g₁, g₂,
 *   m₁ = (d₀−d₂)g₀, m₂ = (d₁+d₂)(g₀+g₁+g₂)/2, m₃ = (d₂−d₁)(g₀−g₁+g₂)/2, m₄ = (d₁−d₃)g₂,
 *   evenᵢ′ = m₁+m₂+m₃, oddᵢ′ = m₂−m₃−m₄:
 * four two-dimensional convolutions for two slices instead of six.
 */
function convolve(
  g: GraphBuilder,
  x: Planes,
  taps: readonly Value[],
  arrange: (tap: Value) => Value,
  bias: Value | null,
): Planes {
  const [n, , ...sizes] = x.shape;
  const [g0, g1, g2] = taps as [Value, Value, Value];
  const half = g.scalar(0.5);
  const outer = g.add('Add', [g0, g2]);
  const w1 = arrange(g0);
  const w2 = arrange(g.add('Mul', [g.add('Add', [outer, g1]), half]));
  const w3 = arrange(g.add('Mul', [g.add('Sub', [outer, g1]), half]));
  const w4 = arrange(g.add('Neg', [g2]));
  const conv = (d: Value, w: Value, sum?: Value) =>
    g.add('BlockedConv', sum ? [d, w, bias, sum] : [d, w], IN_PLANE);
  const m2 = conv(g.add('Add', [x.even, x.odd]), w2);
  const m3 = conv(g.add('Sub', [x.odd, x.even]), w3);
  const before = neighbours(g, x.odd, n!, -1);
  const after = neighbours(g, x.even, n!, 1);
  const even = conv(g.add('Sub', [before, x.odd]), w1, g.add('Add', [m2, m3]));
  const odd = conv(g.add('Sub', [x.even, after]), w4, g.add('Sub', [m2, m3]));
  return { even, odd, shape: [n!, w1.shape[0] as number, ...sizes] };
}

export const convPlanes: PlanesForm<'Conv'> = {
  layout: 'planes',
  applies: ({ inputs: [x, w], attributes, block }) =>
    attributes.group === 1 &&
    (attributes.dilations ?? []).every((d) => d === 1) &&
    keepsSize(attributes) &&
    fits(x!, { shape: [1, w!.shape[0]!] }, block),
  build(g, { inputs, block }, operands) {
    const taps = depthTaps(g, operands.plain(1), false);
    const bias = inputs[2] ? operands.plain(2) : null;
    return [convolve(g, operands.planes(0), taps, (w) => blockedWeights(g, w, block!, [3, 3]), bias)];
  },
};

/** The gradient of the input is a convolution with exchanged channels and taps from last to first. */
export const convInputGradPlanes: PlanesForm<'ConvInputGrad'> = {
  layout: 'planes',
  applies: ({ inputs: [dy, w], attributes, block }) =>
    keepsSize(attributes) && fits(dy!, { shape: [1, w!.shape[1]!] }, block),
  build(g, { block }, operands) {
    const taps = depthTaps(g, operands.plain(1), true);
    const arrange = (w: Value) => blockedWeights(g, w, block!, [3, 3], true);
    return [convolve(g, operands.planes(0), taps, arrange, null)];
  },
};

/**
 * A convolution of one channel: the three slices that a slice of the output sees are three channels of one
 * two-dimensional convolution, for which x need not be blocked.
 */
export const convFirstPlanes: PlanesForm<'Conv'> = {
  layout: 'planes',
  applies: ({ inputs: [x, w], attributes, block }) =>
    attributes.group === 1 &&
    (attributes.dilations ?? []).every((d) => d === 1) &&
    keepsSize(attributes) &&
    x!.shape[1] === 1 &&
    fitsPlanes([x!.shape[0]!, w!.shape[0]!, ...x!.shape.slice(2)], block),
  build(g, { inputs, block }, operands) {
    const [x, w] = [operands.plain(0), operands.plain(1)];
    const [n, , d, height, width] = knownShape(x.shape, 'planes') as [number, 1, number, number, number];
    const k = w.shape[0] as number;
    const slices = g.transpose(g.reshape(x, [n, d, height * width]), [1, 0, 2]);
    const padded = g.add('Pad', [slices, g.integers([1, 0, 0, 1, 0, 0])]);
    const blocks = g.reshape(w, [k / block!, block!, 27]);
    const weights = g.reshape(g.transpose(blocks, [0, 2, 1]), [k, 3, 3, 3]);
    const bias = inputs[2] ? operands.plain(2) : null;
    const half = (parity: 0 | 1) => {
      const seen = [0, 1, 2].map((tap) => {
        const every = g.slice(padded, [parity + tap], [parity + tap + d - 1], [0], [2]);
        return g.reshape(every, [(d / 2) * n, 1, height, width]);
      });
      return g.add('BlockedConv', [g.add('Concat', seen, { axis: 1 }), weights, bias], IN_PLANE);
    };
    return [{ even: half(0), odd: half(1), shape: [n, k, d, height, width] }];
  },
};

/** A half with itself moved by −1, 0 and 1 voxel along an axis of the slice, as channels: [S,3C,H·W], not blocked. */
function threeShifts(g: GraphBuilder, x: Value, block: number, axis: 'height' | 'width'): Value {
  const [slices, c, h, w] = knownShape(x.shape, 'planes') as [number, number, number, number];
  const kernel = (tap: number) => [0, 1, 2].map((t) => (t === tap ? 1 : 0));
  const moved = (tap: number) =>
    axis === 'width'
      ? depthwise(g, x, sameKernel(g, c, block, [kernel(tap)]), { kernel: [1, 3], pads: [0, 1, 0, 1] })
      : depthwise(
          g,
          x,
          sameKernel(
            g,
            c,
            block,
            kernel(tap).map((t) => [t]),
          ),
          { kernel: [3, 1], pads: [1, 0, 1, 0] },
        );
  const stacked = g.add('Concat', [moved(0), x, moved(2)], { axis: 1 });
  return g.reshape(g.add('ReorderOutput', [stacked], { channels: 3 * c }), [slices, 3 * c, h * w]);
}

/**
 * dw[k,c,t] = Σ_p dy[k,p] · x[c,p+t]. Moving dy against the tap's height and x along its width gives nine taps in one
 * product [3K,H·W] × [H·W,3C] a slice; each tap of depth pairs other slices.
 */
export const convWeightGradPlanes: PlanesForm<'ConvWeightGrad'> = {
  layout: 'planes',
  applies: ({ inputs: [x, dy], attributes, block }) => keepsSize(attributes) && fits(x!, dy!, block),
  build(g, { block }, operands) {
    const [x, dy] = [operands.planes(0), operands.planes(1)];
    const [n, c] = x.shape as [number, number];
    const k = dy.shape[1]!;
    const [xEven, xOdd] = mapPlanes(x, (half) => threeShifts(g, half, block!, 'width'));
    const [dyEven, dyOdd] = mapPlanes(dy, (half) => threeShifts(g, half, block!, 'height'));
    const count = xEven.shape[0] as number;
    const rows = (from: number, to: number) =>
      g.integers(Array.from({ length: to - from }, (_, i) => from + i));
    // Gather copies on all threads, Slice on one.
    const butFirst = (v: Value) => g.add('Gather', [v, rows(n, count)], { axis: 0 });
    const butLast = (v: Value) => g.add('Gather', [v, rows(0, count - n)], { axis: 0 });
    const product = (a: Value, b: Value) => g.sum(timesTransposed(g, a, b), [0], 0);
    const pairs: (readonly [Value, Value])[][] = [
      [...(count > n ? [[butFirst(dyEven), butLast(xOdd)] as const] : []), [dyOdd, xEven]],
      [
        [dyEven, xEven],
        [dyOdd, xOdd],
      ],
      [[dyEven, xOdd], ...(count > n ? [[butLast(dyOdd), butFirst(xEven)] as const] : [])],
    ];
    const taps = pairs.map((tap) =>
      g.reshape(
        tap.map(([a, b]) => product(a, b)).reduce((a, b) => g.add('Add', [a, b])),
        [1, 3, k, 3, c],
      ),
    );
    // dy moved by +1 meets the tap before its own: heights come out from last to first.
    const stacked = g.add('Concat', taps, { axis: 0 });
    return [g.transpose(g.slice(stacked, [-1], [-4], [1], [-1]), [2, 4, 0, 1, 3])];
  },
};

/** The same for one input channel: all 27 taps side by side are small. */
export const convWeightGradFirstPlanes: PlanesForm<'ConvWeightGrad'> = {
  layout: 'planes',
  applies: ({ inputs: [x, dy], attributes, block }) =>
    keepsSize(attributes) && x!.shape[1] === 1 && fitsPlanes(dy!.shape, block),
  build(g, _, operands) {
    const [x, dy] = [operands.plain(0), operands.planes(1)];
    const [n, k, d, h, w] = dy.shape as [number, number, number, number, number];
    const slices = g.transpose(g.reshape(x, [n, d, h, w]), [1, 0, 2, 3]);
    const padded = g.add('Pad', [slices, g.integers([1, 0, 1, 1, 1, 0, 1, 1])]);
    const half = (gradient: Value, parity: 0 | 1) => {
      const seen = Array.from({ length: 27 }, (_, t) => {
        const [z, row, column] = [Math.floor(t / 9), Math.floor(t / 3) % 3, t % 3];
        const start = [parity + z, row, column];
        const taken = g.slice(padded, start, [start[0]! + d - 1, row + h, column + w], [0, 2, 3], [2, 1, 1]);
        return g.reshape(taken, [(d / 2) * n, 1, h * w]);
      });
      const flat = g.reshape(g.add('ReorderOutput', [gradient], { channels: k }), [(d / 2) * n, k, h * w]);
      return g.sum(timesTransposed(g, flat, g.add('Concat', seen, { axis: 1 })), [0], 0);
    };
    return [g.reshape(g.add('Add', [half(dy.even, 0), half(dy.odd, 1)]), [k, 1, 3, 3, 3])];
  },
};
