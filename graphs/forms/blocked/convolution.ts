/** 3×3×3 convolutions on planes. */
import type { GraphBuilder } from '../../onnx/builder.js';
import type { ResolvedAttributes } from '../../onnx/operator.js';
import type { AttributesOf } from '../../onnx/ops/index.js';
import type { Value } from '../../onnx/types.js';
import type { Native, PlanesForm } from '../form.js';
import { blockedWeights, depthwise, productOverSlices, sameKernel, tapsFirst, unblocked } from './nchwc.js';
import {
  chunkRanges,
  everySecond,
  fitsPlanes,
  halvesOf,
  joined,
  mapHalves,
  neighbours,
  type Planes,
  shapeOf,
  total,
} from './slice-pairs.js';
import { type DepthFiltering, IN_PLANE, pairwise, quadwise } from './winograd.js';

/** A ReLU costs nothing where the result is written. */
const ACTIVATION = { Conv: {}, ConvRelu: { activation: 'Relu' } } as const;

type Window = Pick<ResolvedAttributes<AttributesOf<'ConvWeightGrad'>>, 'kernel_shape' | 'strides' | 'pads'>;

/** 3×3×3, stride 1, one voxel of padding: the size stays. */
const keepsSize = ({ kernel_shape, strides, pads }: Partial<Window>): boolean =>
  kernel_shape?.join() === '3,3,3' && (strides ?? []).every((s) => s === 1) && pads?.join() === '1,1,1,1,1,1';

/** Whether both are channels of whole blocks, and x has planes. */
function fits(x: Value, y: Pick<Value, 'shape'>, native: Native | null): boolean {
  return fitsPlanes(x.shape, native) && (y.shape[1] as number) % native!.block === 0;
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
): PlanesForm<'Conv'> & PlanesForm<'ConvRelu'> => ({
  layout: 'planes',
  applies: ({ inputs: [x, w], attributes, native }) =>
    attributes.group === 1 &&
    (attributes.dilations ?? []).every((d) => d === 1) &&
    keepsSize(attributes) &&
    fits(x!, { shape: [1, w!.shape[0]!] }, native) &&
    filtering.applies(shapeOf(x!), native!),
  build(g, { inputs: given, native }, operands) {
    const w = operands.plain(1);
    const [outputs, inputs] = [w.shape[0] as number, w.shape[1] as number];
    const spec = { outputs, inputs, kernel: [3, 3], stored: operator === 'ConvRelu' } as const;
    const arrange = (taps: Value) => blockedWeights(g, taps, native!.block, spec);
    const last = { ...(given[2] ? { bias: operands.plain(2) } : {}), ...ACTIVATION[operator] };
    return [filtering.convolve(g, operands.planes(0), depthTaps(g, w, false), arrange, last)];
  },
});

export const convPlanes = convolution('Conv', pairwise);
export const convQuads = convolution('Conv', quadwise);
export const convReluPlanes = convolution('ConvRelu', pairwise);
export const convReluQuads = convolution('ConvRelu', quadwise);

/** The gradient of the input is a convolution with exchanged channels and taps from last to first. */
const inputGrad = (filtering: DepthFiltering): PlanesForm<'ConvInputGrad'> => ({
  layout: 'planes',
  applies: ({ inputs: [dy, w], attributes, native }) =>
    keepsSize(attributes) &&
    fits(dy!, { shape: [1, w!.shape[1]!] }, native) &&
    filtering.applies(shapeOf(dy!), native!),
  build(g, { native }, operands) {
    const w = operands.plain(1);
    const [inputs, outputs] = [w.shape[0] as number, w.shape[1] as number];
    const spec = { outputs, inputs, kernel: [3, 3], transposed: true } as const;
    const arrange = (taps: Value) => blockedWeights(g, taps, native!.block, spec);
    return [filtering.convolve(g, operands.planes(0), depthTaps(g, w, true), arrange, {})];
  },
});

export const convInputGradPlanes = inputGrad(pairwise);
export const convInputGradQuads = inputGrad(quadwise);

/**
 * A convolution of one channel: the three slices that a slice of the output sees are three channels of one
 * two-dimensional convolution, for which x need not be blocked.
 */
const firstPlanes = (operator: 'Conv' | 'ConvRelu'): PlanesForm<'Conv'> & PlanesForm<'ConvRelu'> => ({
  layout: 'planes',
  applies: ({ inputs: [x, w], attributes, native }) =>
    attributes.group === 1 &&
    (attributes.dilations ?? []).every((d) => d === 1) &&
    keepsSize(attributes) &&
    x!.shape[1] === 1 &&
    fitsPlanes([x!.shape[0]!, w!.shape[0]!, ...x!.shape.slice(2)], native),
  build(g, { inputs, native }, operands) {
    const [x, w] = [operands.plain(0), operands.plain(1)];
    const [n, , d, height, width] = shapeOf(x);
    const k = w.shape[0] as number;
    const shape = [n, k, d, height, width] as const;
    const blocks = g.reshape(w, [k / native!.block, native!.block, 27]);
    const weights = g.reshape(g.transpose(blocks, [0, 2, 1]), [k, 3, 3, 3]);
    const bias = inputs[2] ? operands.plain(2) : null;
    const seen = depthNeighbours(g, x, native!);
    const window = { ...IN_PLANE, ...ACTIVATION[operator] };
    const convolved = (half: Value) => g.add('BlockedConv', [half, weights, bias], window);
    return [mapHalves([seen], convolved, shape)];
  },
});

export const convFirstPlanes = firstPlanes('Conv');
export const convReluFirstPlanes = firstPlanes('ConvRelu');

/** x [N,1,D,H,W] as halves [S,3,H,W], not blocked: the slices before, at and after each. */
function depthNeighbours(g: GraphBuilder, x: Value, native: Native): Planes {
  const [n, , d, h, w] = shapeOf(x);
  const slices = g.transpose(g.reshape(x, [n, d, h * w]), [1, 0, 2]);
  const padded = g.reshape(g.add('Pad', [slices, g.integers([1, 0, 0, 1, 0, 0])]), [d + 2, n, 1, h, w]);
  const shape = [n, 1, d, h, w] as const;
  const chunks = chunkRanges(shape, native).map(([from, to]) => {
    const half = (parity: 0 | 1) => {
      const taps = [0, 1, 2].map((tap) => everySecond(g, padded, 2 * from + parity + tap, to - from));
      return g.add('Concat', taps, { axis: 1 });
    };
    return { even: half(0), odd: half(1) };
  });
  return { chunks, shape };
}

/** Every half with itself moved by −1, 0 and 1 voxel along an axis of the slice, as channels: [S,3C,H·W], not blocked. */
function threeShifts(g: GraphBuilder, x: Planes, block: number, axis: 'height' | 'width'): Planes {
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
export const convWeightGradPlanes: PlanesForm<'ConvWeightGrad'> = {
  layout: 'planes',
  applies: ({ inputs: [x, dy], attributes, native }) => keepsSize(attributes) && fits(x!, dy!, native),
  build(g, { native }, operands) {
    const [x, dy] = [operands.planes(0), operands.planes(1)];
    const [n, c] = x.shape;
    const k = dy.shape[1];
    const seen = threeShifts(g, x, native!.block, 'width');
    const given = threeShifts(g, dy, native!.block, 'height');
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
export const convWeightGradFirstPlanes: PlanesForm<'ConvWeightGrad'> = {
  layout: 'planes',
  applies: ({ inputs: [x, dy], attributes, native }) =>
    keepsSize(attributes) && x!.shape[1] === 1 && fitsPlanes(dy!.shape, native),
  build(g, { native }, operands) {
    const [x, dy] = [operands.plain(0), operands.planes(1)];
    const { block } = native!;
    const taps = Math.ceil(27 / block) * block;
    const ones = new Float32Array(taps * 27);
    for (let t = 0; t < 27; t++) ones[(Math.floor(t / block) * 27 + t) * block + (t % block)] = 1;
    const weights = g.constant({ type: 'float32', shape: [taps, 3, 3, 3], data: ones });
    const seen = depthNeighbours(g, x, native!);
    const products = mapHalves([dy, seen], (gradient, slices) => {
      const moved = unblocked(g, g.add('BlockedConv', [slices, weights], IN_PLANE), 27);
      return productOverSlices(g, unblocked(g, gradient), moved);
    });
    return [g.reshape(total(g, halvesOf(products)), [dy.shape[1], 1, 3, 3, 3])];
  },
};
