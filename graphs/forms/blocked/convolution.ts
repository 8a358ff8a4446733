/** 3×3×3 convolutions on slice pairs. */
import type { GraphBuilder } from '../../onnx/builder.js';
import type { ResolvedAttributes } from '../../onnx/operator.js';
import type { AttributesOf } from '../../onnx/ops/index.js';
import type { Value } from '../../onnx/types.js';
import type { BlockedForm } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import { blockedWeights, depthwise, productOverSlices, sameKernel, tapsFirst, unblocked } from './nchwc.js';
import {
  chunkRanges,
  everySecond,
  fitsSlicePairs,
  halvesOf,
  joined,
  mapHalves,
  neighbours,
  type SlicePairs,
  shapeOf,
  total,
} from './slice-pairs.js';
import { type DepthFiltering, IN_PLANE, winogradF23, winogradF43 } from './winograd.js';

/** A ReLU costs nothing where the result is written. */
const ACTIVATION = { Conv: {}, ConvRelu: { activation: 'Relu' } } as const;

type Window = Pick<ResolvedAttributes<AttributesOf<'ConvWeightGrad'>>, 'kernel_shape' | 'strides' | 'pads'>;

/** 3×3×3, stride 1, one voxel of padding: the size stays. */
const keepsSize = ({ kernel_shape, strides, pads }: Partial<Window>): boolean =>
  kernel_shape?.join() === '3,3,3' && (strides ?? []).every((s) => s === 1) && pads?.join() === '1,1,1,1,1,1';

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
    attributes.group === 1 &&
    (attributes.dilations ?? []).every((d) => d === 1) &&
    keepsSize(attributes) &&
    fits(x!, { shape: [1, w!.shape[0]!] }, blocked) &&
    filtering.applies(shapeOf(x!), blocked!),
  build(g, { inputs: given, blocked }, operands) {
    const w = operands.plain(1);
    const [outputs, inputs] = [w.shape[0] as number, w.shape[1] as number];
    const spec = { outputs, inputs, kernel: [3, 3], stored: operator === 'ConvRelu' } as const;
    const arrange = (taps: Value) => blockedWeights(g, taps, blocked!.block, spec);
    const last = { ...(given[2] ? { bias: operands.plain(2) } : {}), ...ACTIVATION[operator] };
    return [filtering.convolve(g, operands.slicePairs(0), depthTaps(g, w, false), arrange, last)];
  },
});

export const convBlocked = convolution('Conv', winogradF23);
export const convBlockedF43 = convolution('Conv', winogradF43);
export const convReluBlocked = convolution('ConvRelu', winogradF23);
export const convReluBlockedF43 = convolution('ConvRelu', winogradF43);

/** The gradient of the input is a convolution with exchanged channels and taps from last to first. */
const inputGrad = (filtering: DepthFiltering): BlockedForm<'ConvInputGrad'> => ({
  layout: 'slicePairs',
  applies: ({ inputs: [dy, w], attributes, blocked }) =>
    keepsSize(attributes) &&
    fits(dy!, { shape: [1, w!.shape[1]!] }, blocked) &&
    filtering.applies(shapeOf(dy!), blocked!),
  build(g, { blocked }, operands) {
    const w = operands.plain(1);
    const [inputs, outputs] = [w.shape[0] as number, w.shape[1] as number];
    const spec = { outputs, inputs, kernel: [3, 3], transposed: true } as const;
    const arrange = (taps: Value) => blockedWeights(g, taps, blocked!.block, spec);
    return [filtering.convolve(g, operands.slicePairs(0), depthTaps(g, w, true), arrange, {})];
  },
});

export const convInputGradBlocked = inputGrad(winogradF23);
export const convInputGradBlockedF43 = inputGrad(winogradF43);

/**
 * A convolution of one channel: the three slices that a slice of the output sees are three channels of one
 * two-dimensional convolution, for which x need not be blocked.
 */
const firstConvolution = (operator: 'Conv' | 'ConvRelu'): BlockedForm<'Conv'> & BlockedForm<'ConvRelu'> => ({
  layout: 'slicePairs',
  applies: ({ inputs: [x, w], attributes, blocked }) =>
    attributes.group === 1 &&
    (attributes.dilations ?? []).every((d) => d === 1) &&
    keepsSize(attributes) &&
    x!.shape[1] === 1 &&
    fitsSlicePairs([x!.shape[0]!, w!.shape[0]!, ...x!.shape.slice(2)], blocked),
  build(g, { inputs, blocked }, operands) {
    const [x, w] = [operands.plain(0), operands.plain(1)];
    const [n, , d, height, width] = shapeOf(x);
    const k = w.shape[0] as number;
    const shape = [n, k, d, height, width] as const;
    const blocks = g.reshape(w, [k / blocked!.block, blocked!.block, 27]);
    const weights = g.reshape(g.transpose(blocks, [0, 2, 1]), [k, 3, 3, 3]);
    const bias = inputs[2] ? operands.plain(2) : null;
    const seen = depthNeighbours(g, x, blocked!);
    const window = { ...IN_PLANE, ...ACTIVATION[operator] };
    const convolved = (half: Value) => g.add('BlockedConv', [half, weights, bias], window);
    return [mapHalves([seen], convolved, shape)];
  },
});

export const convFirstBlocked = firstConvolution('Conv');
export const convReluFirstBlocked = firstConvolution('ConvRelu');

/** x [N,1,D,H,W] as halves [S,3,H,W], not blocked: the slices before, at and after each. */
function depthNeighbours(g: GraphBuilder, x: Value, blocked: BlockedLayout): SlicePairs {
  const [n, , d, h, w] = shapeOf(x);
  const slices = g.transpose(g.reshape(x, [n, d, h * w]), [1, 0, 2]);
  const padded = g.reshape(g.add('Pad', [slices, g.integers([1, 0, 0, 1, 0, 0])]), [d + 2, n, 1, h, w]);
  const shape = [n, 1, d, h, w] as const;
  const chunks = chunkRanges(shape, blocked).map(([from, to]) => {
    const half = (parity: 0 | 1) => {
      const taps = [0, 1, 2].map((tap) => everySecond(g, padded, 2 * from + parity + tap, to - from));
      return g.add('Concat', taps, { axis: 1 });
    };
    return { even: half(0), odd: half(1) };
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
      const product = (gradient: Value, input: Value) => productOverSlices(g, gradient, input);
      const taps = [
        [product(even, neighbours(g, odds, i, n, -1)), product(odd, evens[i]!)],
        [product(even, evens[i]!), product(odd, odds[i]!)],
        [product(even, odds[i]!), product(odd, neighbours(g, evens, i, n, 1))],
      ];
      return joined(
        g,
        taps.map((tap) => g.reshape(total(g, tap), [1, 3, k, 3, c])),
        0,
      );
    });
    const stacked = total(g, parts);
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
    const products = mapHalves([dy, seen], (gradient, slices) => {
      const moved = unblocked(g, g.add('BlockedConv', [slices, weights], IN_PLANE), 27);
      return productOverSlices(g, unblocked(g, gradient), moved);
    });
    return [g.reshape(total(g, halvesOf(products)), [dy.shape[1], 1, 3, 3, 3])];
  },
};
