/** 3×3×3 convolutions on slice pairs. */
import type { GraphBuilder } from '../../onnx/builder.js';
import type { ResolvedAttributes } from '../../onnx/operator.js';
import type { AttributesOf } from '../../onnx/ops/index.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import type { BlockedForm, Call } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import { isSmallMap } from '../reference/columns.js';
import type { WindowSizes } from '../reference/convolution.js';
import {
  blockedWeights,
  depthwise,
  type Product,
  sameKernel,
  sumsOfProducts,
  tapsFirst,
  unblocked,
} from './nchwc.js';
import {
  chunkRanges,
  fitsHalfBlock,
  fitsSlicePairs,
  halvesOf,
  type MapShape,
  mapHalves,
  neighbours,
  ofWhole,
  type SlicePairs,
  shapeOf,
  total,
} from './slice-pairs.js';
import { bothSlices, type DepthFiltering, IN_PLANE, winogradF23, winogradF43 } from './winograd.js';
import { isSmall, winogradWhole } from './winograd-matrices.js';

/** A ReLU costs nothing where the result is written. */
const ACTIVATION = { Conv: {}, ConvRelu: { activation: 'Relu' } } as const;

/** 3×3×3, stride 1, one voxel of padding: the size stays. */
const keepsSize = ({ kernel_shape, strides, pads }: Partial<WindowSizes>): boolean =>
  kernel_shape?.join() === '3,3,3' && (strides ?? []).every((s) => s === 1) && pads?.join() === '1,1,1,1,1,1';

/** One group, no dilation, the size stays. */
const isDense = (
  attributes: ResolvedAttributes<AttributesOf<'Conv'>> | ResolvedAttributes<AttributesOf<'ConvRelu'>>,
): boolean =>
  attributes.group === 1 && (attributes.dilations ?? []).every((d) => d === 1) && keepsSize(attributes);

/** Whether both are channels of whole blocks, and x fits slice pairs. */
function fits(x: Value, y: Pick<Value, 'shape'>, blocked: BlockedLayout | null): boolean {
  return fitsSlicePairs(x.shape, blocked) && (y.shape[1] as number) % blocked!.block === 0;
}

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
  applies: ({ inputs: [x, w], attributes, blocked }) =>
    isDense(attributes) &&
    // Weights that are stored are brought into blocks once.
    (operator === 'ConvRelu' || !isSmallMap(x!.shape)) &&
    (fitsSlicePairs(x!.shape, blocked) || (operator === 'ConvRelu' && fitsHalfBlock(x!.shape, blocked))) &&
    (w!.shape[0] as number) % blocked!.block === 0 &&
    filtering.applies(shapeOf(x!), blocked!),
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
    keepsSize(attributes) && !isSmallMap(dy!.shape) && fits(dy!, { shape: [1, w!.shape[1]!] }, blocked),
  build(g, { blocked }, operands) {
    const w = operands.plain(1);
    const [inputs, outputs] = [w.shape[0] as number, w.shape[1] as number];
    const spec = { outputs, inputs, kernel: [3, 3], transposed: true } as const;
    const arrange = (taps: Value) => blockedWeights(g, taps, blocked!.block, spec);
    return [winogradF23.convolve(g, operands.slicePairs(0), depthTaps(g, w, true), arrange, {}, blocked!)];
  },
};

/** Whether it is a convolution of one channel to some that fit. */
const isFirst = (
  { inputs: [x, w], attributes, blocked }: Call<'Conv'> | Call<'ConvRelu'>,
  fitting: (shape: Value['shape'], blocked: BlockedLayout | null) => boolean,
): boolean => isDense(attributes) && x!.shape[1] === 1 && fitting(x!.shape.with(1, w!.shape[0]!), blocked);

/**
 * A convolution of one channel: the three slices that a slice of the output sees are three channels of one
 * two-dimensional convolution, for which x need not be blocked.
 */
const firstConvolution = (operator: 'Conv' | 'ConvRelu'): BlockedForm<'Conv'> & BlockedForm<'ConvRelu'> => ({
  layout: 'slicePairs',
  applies: (call) => isFirst(call, fitsSlicePairs),
  build(g, { inputs, blocked }, operands) {
    const [x, w] = [operands.plain(0), operands.plain(1)];
    const [n, , d, height, width] = shapeOf(x);
    const k = w.shape[0] as number;
    const weights = blockedOutputs(g, w, blocked!.block);
    const bias = inputs[2] ? operands.plain(2) : null;
    const window = { ...IN_PLANE, ...ACTIVATION[operator] };
    const convolved = (half: Value) => g.add('BlockedConv', [half, weights, bias], window);
    return [mapHalves([depthNeighbours(g, x, blocked!)], convolved, [n, k, d, height, width])];
  },
});

export const convFirstBlocked = firstConvolution('Conv');
export const convReluFirstBlocked = firstConvolution('ConvRelu');

/** Weights and bias for two slices of the output, which see four of x, with channels that are half a block. */
function ofTwoSlices(g: GraphBuilder, w: Value, bias: Value | null): [weights: Value, bias: Value | null] {
  const taps = g.reshape(w, [-1, 3, 3, 3]);
  const later = (slices: 0 | 1) => g.add('Pad', [taps, g.integers([0, slices, 0, 0, 0, 1 - slices, 0, 0])]);
  const twice = (v: Value) => g.add('Concat', [v, v], { axis: 0 });
  return [g.add('Concat', [later(0), later(1)], { axis: 0 }), bias && twice(bias)];
}

/** The same to half a block of channels: two slices of the output fill a block together. */
export const convReluFirstHalfBlock: BlockedForm<'ConvRelu'> = {
  layout: 'slicePairs',
  applies: (call) => isFirst(call, fitsHalfBlock),
  build(g, { inputs, blocked }, operands) {
    const [x, w] = [operands.plain(0), operands.plain(1)];
    const [n, , d, height, width] = shapeOf(x);
    const k = w.shape[0] as number;
    const [taps, bias] = ofTwoSlices(g, w, inputs[2] ? operands.plain(2) : null);
    const weights = blockedOutputs(g, taps, blocked!.block);
    const slices = paddedSlices(g, x);
    const shape = [n, k, d, height, width] as const;
    const chunks = chunkRanges(shape, blocked!).map((range) => {
      const seen = seenSlices(g, slices, beforePairs(shape, range), 4, shape);
      const both = g.add('BlockedConv', [seen, weights, bias], { ...IN_PLANE, ...ACTIVATION.ConvRelu });
      const plain = g.add('ReorderOutput', [both], { channels: 2 * k });
      const [even, odd] = g.addMany('Split', [plain, g.integers([k, k])], { axis: 1 }, 2);
      return { even: even!, odd: odd! };
    });
    return [{ chunks, shape }];
  },
};

/** The same of a small feature map, for all slices at once. */
export const convReluFirstWhole: BlockedForm<'ConvRelu'> = {
  layout: 'slicePairs',
  applies: (call) =>
    (isFirst(call, fitsSlicePairs) || isFirst(call, fitsHalfBlock)) && isSmall(shapeOf(call.inputs[0]!)),
  build(g, { inputs, blocked }, operands) {
    const [x, w] = [operands.plain(0), operands.plain(1)];
    const [n, , d, height, width] = shapeOf(x);
    const k = w.shape[0] as number;
    const given = inputs[2] ? operands.plain(2) : null;
    const isHalf = k < blocked!.block;
    const [taps, bias] = isHalf ? ofTwoSlices(g, w, given) : [w, given];
    const together = isHalf ? 2 : 1;
    const shape = [n, k, d, height, width] as const;
    const places = Array.from({ length: n }, (_, sample) => sample * (d + 2)).flatMap((first) =>
      Array.from({ length: d / together }, (_, i) => first + together * i),
    );
    const seen = seenSlices(g, paddedSlices(g, x), places, together + 2, shape);
    const weights = blockedOutputs(g, taps, blocked!.block);
    const y = g.add('BlockedConv', [seen, weights, bias], { ...IN_PLANE, ...ACTIVATION.ConvRelu });
    const whole = isHalf ? g.add('ReorderOutput', [y], { channels: 2 * k }) : y;
    return [ofWhole(g, whole, shape, blocked!)];
  },
};

/** Weights [K,C,…] of an input that is not blocked: [K/B,C,…,B]. */
function blockedOutputs(g: GraphBuilder, w: Value, block: number): Value {
  const [k, ...rest] = knownShape(w.shape, 'weights') as [number, ...number[]];
  const blocks = g.reshape(w, [k / block, block, sizeOf(rest)]);
  return g.reshape(g.transpose(blocks, [0, 2, 1]), [k, sizeOf(rest) / 9, 3, 3]);
}

/** x [N,1,D,H,W] as rows of voxels, one a slice, [N·(D+2),H·W]: each sample with a slice of zeros before and after it. */
function paddedSlices(g: GraphBuilder, x: Value): Value {
  const [n, , d, h, w] = shapeOf(x);
  const padded = g.add('Pad', [g.reshape(x, [n, d, h * w]), g.integers([0, 1, 0, 0, 1, 0])]);
  return g.reshape(padded, [n * (d + 2), h * w]);
}

/** Of {@link paddedSlices} `count` consecutive ones from each of some places on, as channels: [places,count,H,W], not blocked. */
function seenSlices(
  g: GraphBuilder,
  slices: Value,
  places: readonly number[],
  count: number,
  [, , , h, w]: MapShape,
): Value {
  const rows = places.flatMap((place) => Array.from({ length: count }, (_, i) => place + i));
  return g.reshape(g.add('Gather', [slices, g.integers(rows)]), [places.length, count, h, w]);
}

/** Places in {@link paddedSlices} of the slices before the pairs of a range, each pair's of all samples together. */
const beforePairs = ([n, , d]: MapShape, [from, to]: readonly [number, number]): number[] =>
  Array.from({ length: to - from }, (_, i) => 2 * (from + i)).flatMap((slice) =>
    Array.from({ length: n }, (_, sample) => sample * (d + 2) + slice),
  );

/** x [N,1,D,H,W] as halves [S,3,H,W], not blocked: the slices before, at and after each. */
function depthNeighbours(g: GraphBuilder, x: Value, blocked: BlockedLayout): SlicePairs {
  const slices = paddedSlices(g, x);
  const shape = shapeOf(x);
  const chunks = chunkRanges(shape, blocked).map((range) => {
    const before = beforePairs(shape, range);
    const seen = (places: number[]) => seenSlices(g, slices, places, 3, shape);
    return { even: seen(before), odd: seen(before.map((place) => place + 1)) };
  });
  return { chunks, shape };
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
 * dw[k,c,t] = Σ_p dy[k,p] · x[c,p+t]. Moving dy against the tap's height and x along its width gives nine taps in one
 * product [3K,H·W] × [H·W,3C] a slice; each tap of depth pairs other slices.
 */
export const convWeightGradBlocked: BlockedForm<'ConvWeightGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x, dy], attributes, blocked }) => keepsSize(attributes) && fits(x!, dy!, blocked),
  build(g, { blocked }, operands) {
    const [x, dy] = [operands.slicePairs(0), operands.slicePairs(1)];
    const [n, c] = x.shape;
    const k = dy.shape[1];
    const seen = threeShifts(g, x, blocked!.block, 'width');
    const given = threeShifts(g, dy, blocked!.block, 'height');
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

/** The same for one input channel: a convolution with zeros and ones lays all 27 taps side by side. */
export const convWeightGradFirstBlocked: BlockedForm<'ConvWeightGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x, dy], attributes, blocked }) =>
    keepsSize(attributes) && x!.shape[1] === 1 && fitsSlicePairs(dy!.shape, blocked),
  build(g, { blocked }, operands) {
    const [x, dy] = [operands.plain(0), operands.slicePairs(1)];
    const { block } = blocked!;
    const taps = Math.ceil(27 / block) * block;
    const ones = new Float32Array(taps * 27);
    for (let t = 0; t < 27; t++) ones[(Math.floor(t / block) * 27 + t) * block + (t % block)] = 1;
    const weights = g.constant({ type: 'float32', shape: [taps, 3, 3, 3], data: ones });
    const seen = depthNeighbours(g, x, blocked!);
    const given = halvesOf(dy);
    const products = halvesOf(seen).map((slices, i): Product => {
      const moved = unblocked(g, g.add('BlockedConv', [slices, weights], IN_PLANE), 27);
      return [unblocked(g, given[i]!), moved];
    });
    return [g.reshape(sumsOfProducts(g, [products]), [dy.shape[1], 1, 3, 3, 3])];
  },
};
