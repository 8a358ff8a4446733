/** 3×3×3 convolutions on slice pairs. */
import type { GraphBuilder } from '../../onnx/builder.js';
import { resolveWindow } from '../../onnx/ops/spatial.js';
import type { Value } from '../../onnx/types.js';
import type { BlockedForm, Call } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import { isSmallMap } from '../reference/columns.js';
import type { WindowSizes } from '../reference/convolution.js';
import {
  blockedWeights,
  depthwise,
  type Product,
  sameKernel,
  selection,
  sumsOfProducts,
  tapsFirst,
  unblocked,
} from './nchwc.js';
import {
  fitsHalfBlock,
  fitsSlicePairs,
  halvesOfBlocks,
  mapHalves,
  neighbours,
  type SlicePairs,
  shapeOf,
  total,
} from './slice-pairs.js';
import { bothSlices, type DepthFiltering, IN_PLANE, winogradF23, winogradF43 } from './winograd.js';
import { winogradWhole } from './winograd-matrices.js';

/** A ReLU costs nothing where the result is written. */
export const ACTIVATION = { Conv: {}, ConvRelu: { activation: 'Relu' } } as const;

/** 3×3×3, stride 1, one voxel of padding: the size stays. */
export const keepsSize = ({ kernel_shape, strides, pads }: WindowSizes): boolean =>
  kernel_shape.join() === '3,3,3' && strides.every((s) => s === 1) && pads.join() === '1,1,1,1,1,1';

/** One group, no dilation, the size stays. */
export function isDense({ inputs: [, w], attributes }: Call<'Conv'> | Call<'ConvRelu'>): boolean {
  const window = resolveWindow(attributes, w!.shape.slice(2));
  return attributes.group === 1 && window.dilations.every((d) => d === 1) && keepsSize(window);
}

/** Whether the channels of x, the input of a convolution, are whole blocks or half of one, and those of y whole blocks. */
const fits = (x: Value['shape'], y: Value['shape'], blocked: BlockedLayout | null): boolean =>
  fitsSlicePairs(y, blocked) && (fitsSlicePairs(x, blocked) || fitsHalfBlock(x, blocked));

/** w [K,C,3,3,3] → for each tap of depth [9,K·C], first to last; backwards in every axis with `flipped`. */
function depthTaps(g: GraphBuilder, w: Value, flipped: boolean): Value[] {
  const taps = tapsFirst(g, w);
  const ordered = flipped ? g.slice(taps, [-1], [-28], [0], [-1]) : taps;
  return g.addMany('Split', [ordered, g.integers([9, 9, 9])], { axis: 0 }, 3);
}

const convolution = (
  operator: 'Conv' | 'ConvRelu',
  filtering: DepthFiltering,
): BlockedForm<'Conv'> & BlockedForm<'ConvRelu'> => ({
  layout: 'slicePairs',
  applies(call) {
    const { inputs, blocked } = call;
    const [x, w] = inputs;
    return (
      isDense(call) &&
      // Weights that are stored are brought into blocks once.
      (operator === 'ConvRelu' || !isSmallMap(x!.shape)) &&
      fits(x!.shape, x!.shape.with(1, w!.shape[0]!), blocked) &&
      filtering.applies(shapeOf(x!), blocked!)
    );
  },
  build(g, { inputs: given, blocked }, operands) {
    const w = operands.plain(1);
    const [outputs, inputs] = [w.shape[0] as number, w.shape[1] as number];
    const spec = { kernel: [3, 3], stored: operator === 'ConvRelu' } as const;
    const arrange = (taps: Value, times = 1) =>
      blockedWeights(g, taps, blocked!.block, { ...spec, outputs: times * outputs, inputs: times * inputs });
    const last = { ...(given[2] ? { bias: operands.plain(2) } : {}), ...ACTIVATION[operator] };
    return [filtering.convolve(g, operands.slicePairs(0), depthTaps(g, w, false), arrange, last, blocked!)];
  },
});

export const convBlocked = convolution('Conv', winogradF23);
export const convReluBlocked = convolution('ConvRelu', winogradF23);
export const convReluBoth = convolution('ConvRelu', bothSlices);
export const convReluWhole = convolution('ConvRelu', winogradWhole);
export const convReluBlockedF43 = convolution('ConvRelu', winogradF43);

/** The gradient of the input is a convolution with exchanged channels and taps from last to first. */
export const convInputGradBlocked: BlockedForm<'ConvInputGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [dy, w], attributes, blocked }) =>
    keepsSize(attributes) &&
    !isSmallMap(dy!.shape) &&
    fits(dy!.shape.with(1, w!.shape[1]!), dy!.shape, blocked),
  build(g, { blocked }, operands) {
    const [dy, w] = [operands.slicePairs(0), operands.plain(1)];
    const { block } = blocked!;
    const [inputs, outputs] = [w.shape[0] as number, w.shape[1] as number];
    const taps = depthTaps(g, w, true);
    const spec = { outputs: Math.max(outputs, block), inputs, kernel: [3, 3], transposed: true } as const;
    const arrange = (weights: Value) => blockedWeights(g, weights, block, spec);
    return [
      outputs < block
        ? toHalfBlock(g, dy, taps, arrange, outputs)
        : winogradF23.convolve(g, dy, taps, arrange, {}, blocked!),
    ];
  },
};

/**
 * A convolution to half a block of channels: two slices of the output fill a block together, and are convolutions of the
 * four slices around them. Without Winograd's sums these are no more than with them.
 * @param taps [9,inputs·outputs]
 */
function toHalfBlock(
  g: GraphBuilder,
  x: SlicePairs,
  taps: readonly Value[],
  arrange: (weights: Value) => Value,
  outputs: number,
): SlicePairs {
  const [n, inputs, ...sizes] = x.shape;
  const [g0, g1, g2] = taps.map((tap) => g.reshape(tap, [9, inputs, outputs])) as [Value, Value, Value];
  const none = g.add('Expand', [g.scalar(0), g.integers([9, inputs, outputs])]);
  const weights = [
    [g0, none],
    [g1, g0],
    [g2, g1],
    [none, g2],
  ].map((ofBoth) => arrange(g.add('Concat', ofBoth, { axis: 2 })));
  const [evens, odds] = [x.chunks.map((pair) => pair.even), x.chunks.map((pair) => pair.odd)];
  const chunks = x.chunks.map(({ even, odd }, i) => {
    const slices = [neighbours(g, odds, i, n, -1), even, odd, neighbours(g, evens, i, n, 1)];
    const both = slices.reduce<Value | null>(
      (sum, slice, tap) => g.add('BlockedConv', [slice, weights[tap]!, null, sum], IN_PLANE),
      null,
    );
    return halvesOfBlocks(g, both!);
  });
  return { chunks, shape: [n, outputs, ...sizes] };
}

/** Every half with itself moved by −1, 0 and 1 voxel along an axis of the slice, as channels: [S,3C,H·W], not blocked. */
function threeShifts(g: GraphBuilder, x: SlicePairs, block: number, axis: 'height' | 'width'): SlicePairs {
  const kernel = (taps: readonly number[]) =>
    sameKernel(g, x.shape[1], block, axis === 'width' ? [taps] : taps.map((t) => [t]));
  const [back, ahead] = [kernel([1, 0, 0]), kernel([0, 0, 1])];
  const pads = axis === 'width' ? ([0, 1, 0, 1] as const) : ([1, 0, 1, 0] as const);
  return mapHalves([x], (half) => {
    const shifts = [depthwise(g, half, back, { pads }), half, depthwise(g, half, ahead, { pads })];
    return unblocked(g, g.add('Concat', shifts, { axis: 1 }));
  });
}

/**
 * The same along width of half a block of channels, by one convolution whose weights are zeros and ones: what is not blocked can only be
 * moved into blocks.
 */
function threeShiftsOfHalfBlock(g: GraphBuilder, x: SlicePairs, block: number): SlicePairs {
  const c = x.shape[1];
  const places = [0, 1, 2].flatMap((shift) => Array.from({ length: c }, (_, channel) => 3 * channel + shift));
  const weights = selection(g, places, [c, 1, 3], block);
  const window = { kernel_shape: [1, 3], pads: [0, 1, 0, 1] };
  return mapHalves([x], (half) => unblocked(g, g.add('BlockedConv', [half, weights], window), 3 * c));
}

/**
 * dw[k,c,t] = Σ_p dy[k,p] · x[c,p+t]. Moving dy against the tap's height and x along its width gives nine taps in one
 * product [3K,H·W] × [H·W,3C] a slice; each tap of depth pairs other slices.
 */
export const convWeightGradBlocked: BlockedForm<'ConvWeightGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x, dy], attributes, blocked }) =>
    keepsSize(attributes) && fits(x!.shape, dy!.shape, blocked),
  build(g, { blocked }, operands) {
    const [x, dy] = [operands.slicePairs(0), operands.slicePairs(1)];
    const [n, c] = x.shape;
    const k = dy.shape[1];
    const { block } = blocked!;
    const seen = c < block ? threeShiftsOfHalfBlock(g, x, block) : threeShifts(g, x, block, 'width');
    const given = threeShifts(g, dy, block, 'height');
    const [evens, odds] = [seen.chunks.map((pair) => pair.even), seen.chunks.map((pair) => pair.odd)];
    const parts = given.chunks.map(({ even, odd }, i) => {
      const [before, after] = [neighbours(g, odds, i, n, -1), neighbours(g, evens, i, n, 1)];
      const [first, second] = [evens[i]!, odds[i]!];
      const seenBy = [
        [before, first],
        [first, second],
        [second, after],
      ] as const;
      return sumsOfProducts(
        g,
        seenBy.map(([a, b]): Product[] => [
          [even, a],
          [odd, b],
        ]),
      );
    });
    const stacked = g.reshape(total(g, parts), [3, 3, k, 3, c]);
    // dy moved by +1 meets the tap before its own: heights come out from last to first.
    const taps = g.transpose(g.slice(stacked, [-1], [-4], [1], [-1]), [0, 1, 3, 2, 4]);
    return [g.reshape(g.transpose(g.reshape(taps, [27, k * c]), [1, 0]), [k, c, 3, 3, 3])];
  },
};
