/** 3×3×3 convolutions of one channel, whose neighbouring slices are the channels of convolutions in two dimensions. */
import type { GraphBuilder } from '../../onnx/builder.js';
import { range } from '../../onnx/range.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import type { BlockedForm, Call } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import { ACTIVATION, isDense, keepsSize } from './convolution.js';
import { type Product, selection, sumsOfProducts, unblocked } from './nchwc.js';
import {
  chunkRanges,
  fitsHalfBlock,
  fitsSlicePairs,
  halvesOf,
  halvesOfBlocks,
  type MapShape,
  mapHalves,
  ofWhole,
  type SlicePairs,
  shapeOf,
} from './slice-pairs.js';
import { IN_PLANE } from './winograd.js';
import { isSmall } from './winograd-matrices.js';

/** Whether it is a convolution of one channel to some that fit. */
function isFirst(
  call: Call<'Conv'> | Call<'ConvRelu'>,
  fitting: (shape: Value['shape'], blocked: BlockedLayout | null) => boolean,
): boolean {
  const [x, w] = call.inputs;
  return isDense(call) && x!.shape[1] === 1 && fitting(x!.shape.with(1, w!.shape[0]!), call.blocked);
}

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
      return halvesOfBlocks(g, both);
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

/** The gradient of the weights: a convolution with zeros and ones lays all 27 taps side by side. */
export const convWeightGradFirstBlocked: BlockedForm<'ConvWeightGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x, dy], attributes, blocked }) =>
    keepsSize(attributes) && x!.shape[1] === 1 && fitsSlicePairs(dy!.shape, blocked),
  build(g, { blocked }, operands) {
    const [x, dy] = [operands.plain(0), operands.slicePairs(1)];
    const { block } = blocked!;
    const weights = selection(g, range(27), [3, 3, 3], block);
    const seen = depthNeighbours(g, x, blocked!);
    const given = halvesOf(dy);
    const products = halvesOf(seen).map((slices, i): Product => {
      const moved = unblocked(g, g.add('BlockedConv', [slices, weights], IN_PLANE), 27);
      return [unblocked(g, given[i]!), moved];
    });
    return [g.reshape(sumsOfProducts(g, [products]), [dy.shape[1], 1, 3, 3, 3])];
  },
};
