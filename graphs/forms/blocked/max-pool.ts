import type { Value } from '../../onnx/types.js';
import type { BlockedForm } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import { behindRelu } from '../reference/max-pool.js';
import { depthwise, pixelShuffle, STEEP, sameKernel } from './nchwc.js';
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

/** As the plain mask: dy where x is its window's maximum. x − maximum is 0 there and negative elsewhere. */
export const maxPoolGradBlocked: BlockedForm<'MaxPoolGrad'> = {
  layout: 'slicePairs',
  applies: ({ madeBy, inputs: [x], attributes: { kernel_shape }, blocked }) =>
    behindRelu(madeBy?.[0]) && kernel_shape.join() === TWICE && halves(x!, blocked),
  build(g, { blocked }, operands) {
    const x = operands.slicePairs(0);
    const [n, c] = x.shape;
    const [maxima, gradients] = [allSlices(g, operands.slicePairs(1)), allSlices(g, operands.slicePairs(2))];
    const steep = sameKernel(g, c, blocked!.block, [[STEEP]]);
    const one = g.add('Expand', [g.scalar(1), g.integers([c])]);
    const ranges = chunkRanges(x.shape, blocked!);
    const chunks = x.chunks.map(({ even, odd }, i) => {
      const larger = (all: Value) => {
        const part = slicesFrom(g, all, n, ...ranges[i]!);
        return pixelShuffle(g, [part, part, part, part], blocked!.block);
      };
      const [maximum, gradient] = [larger(maxima), larger(gradients)];
      const passed = (half: Value) => {
        const below = g.add('Sub', [half, maximum]);
        return g.add('Mul', [gradient, depthwise(g, below, steep, { bias: one, activation: 'Relu' })]);
      };
      return { even: passed(even), odd: passed(odd) };
    });
    return [{ chunks, shape: x.shape }];
  },
};
