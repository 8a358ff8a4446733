import type { Value } from '../../onnx/types.js';
import type { BlockedForm } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import { depthwise, phaseKernels, pixelShuffle, STEEP, sameKernel } from './nchwc.js';
import { allSlices, chunkRanges, fitsSlicePairs, ofWhole, slicesFrom, splitSlices } from './slice-pairs.js';

const HALVING = { kernel_shape: [2, 2], strides: [2, 2] };
const TWICE = '2,2,2';

/** Whether x, and x at half its size, can be slice pairs. */
const halves = (x: Value, blocked: BlockedLayout | null): boolean =>
  fitsSlicePairs(x.shape, blocked) &&
  x.shape.slice(2).every((size, i) => (size as number) % (i === 0 ? 4 : 2) === 0);

/** The maximum of a pair of slices, each pooled by itself. */
export const maxPoolBlocked: BlockedForm<'MaxPool'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x], attributes: { kernel_shape, strides, pads, dilations }, blocked }) =>
    kernel_shape?.join() === TWICE &&
    strides?.join() === TWICE &&
    (pads ?? []).every((p) => p === 0) &&
    (dilations ?? []).every((d) => d === 1) &&
    halves(x!, blocked),
  build(g, { blocked }, operands) {
    const { chunks, whole, shape } = operands.slicePairs(0);
    const [n, c, d, h, w] = shape;
    const smaller = [n, c, d / 2, h / 2, w / 2] as const;
    if (whole) {
      const { block } = blocked!;
      const slices = g.add('BlockedMaxPool', [g.reshape(whole, [n * d, c, h, w])], HALVING);
      // Pairs of slices as images that are two rows high.
      const pairs = g.reshape(slices, [(n * d) / 2, block, 2, (c * h * w) / (4 * block)]);
      const maxima = g.add('BlockedMaxPool', [pairs], { kernel_shape: [2, 1], strides: [2, 1] });
      return [ofWhole(g, maxima, smaller, blocked!)];
    }
    const pooled = chunks.map(({ even, odd }) =>
      g.add('Max', [g.add('BlockedMaxPool', [even], HALVING), g.add('BlockedMaxPool', [odd], HALVING)]),
    );
    return [splitSlices(g, pooled, smaller, blocked!)];
  },
};

/**
 * dy at the first maximum of each window: to the even slice unless the odd one has a larger value, and in it value by value to the first
 * that is not below the maximum. The last gets what is left.
 */
export const maxPoolGradBlocked: BlockedForm<'MaxPoolGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x], attributes: { kernel_shape }, blocked }) =>
    kernel_shape.join() === TWICE && halves(x!, blocked),
  build(g, { blocked }, operands) {
    const x = operands.slicePairs(0);
    const [n, c] = x.shape;
    const { block } = blocked!;
    const gradients = allSlices(g, operands.slicePairs(2));
    const taps = phaseKernels(g, c, block).slice(0, 3);
    const steep = sameKernel(g, c, block, [[STEEP]]);
    const one = g.add('Expand', [g.scalar(1), g.integers([c])]);
    /** Of a gradient, what goes to values by which a difference is not negative. */
    const passed = (gradient: Value, difference: Value) =>
      g.add('Mul', [gradient, depthwise(g, difference, steep, { bias: one, activation: 'Clip' })]);
    const ranges = chunkRanges(x.shape, blocked!);
    const chunks = x.chunks.map(({ even, odd }, i) => {
      const ofEven = g.add('BlockedMaxPool', [even], HALVING);
      const ofOdd = g.add('BlockedMaxPool', [odd], HALVING);
      const gradient = slicesFrom(g, gradients, n, ...ranges[i]!);
      const toEven = passed(gradient, g.add('Sub', [ofEven, ofOdd]));
      const toWindows = (half: Value, maximum: Value, given: Value) => {
        const sum = g.add('Neg', [maximum]);
        let rest = given;
        const first = taps.map((tap) => {
          const own = passed(rest, depthwise(g, half, tap, { sum, stride: 2 }));
          rest = g.add('Sub', [rest, own]);
          return own;
        });
        return pixelShuffle(g, [...first, rest], block);
      };
      return {
        even: toWindows(even, ofEven, toEven),
        odd: toWindows(odd, ofOdd, g.add('Sub', [gradient, toEven])),
      };
    });
    return [{ chunks, shape: x.shape }];
  },
};
