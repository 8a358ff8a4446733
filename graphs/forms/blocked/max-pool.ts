import type { Value } from '../../onnx/types.js';
import type { Native, PlanesForm } from '../form.js';
import { behindRelu } from '../reference/max-pool.js';
import { depthwise, STEEP, sameKernel, weave } from './nchwc.js';
import { allSlices, chunkRanges, fitsPlanes, slicesFrom, splitSlices } from './slice-pairs.js';

const HALVING = { kernel_shape: [2, 2], strides: [2, 2] };
const TWICE = '2,2,2';

/** Whether x, and x at half its size, can be planes. */
const halves = (x: Value, native: Native | null): boolean =>
  fitsPlanes(x.shape, native) &&
  x.shape.slice(2).every((size, i) => (size as number) % (i === 0 ? 4 : 2) === 0);

/** The maximum of a pair of slices, each pooled by itself. */
export const maxPoolPlanes: PlanesForm<'MaxPool'> = {
  layout: 'planes',
  applies: ({ inputs: [x], attributes: { kernel_shape, strides, pads }, native }) =>
    kernel_shape?.join() === TWICE &&
    strides?.join() === TWICE &&
    (pads ?? []).every((p) => p === 0) &&
    halves(x!, native),
  build(g, { native }, operands) {
    const { chunks, shape } = operands.planes(0);
    const [n, c, d, h, w] = shape;
    const pooled = chunks.map(({ even, odd }) =>
      g.add('Max', [g.add('BlockedMaxPool', [even], HALVING), g.add('BlockedMaxPool', [odd], HALVING)]),
    );
    return [splitSlices(g, pooled, [n, c, d / 2, h / 2, w / 2], native!)];
  },
};

/** As the plain mask: dy where x is its window's maximum. x − maximum is 0 there and negative elsewhere. */
export const maxPoolGradPlanes: PlanesForm<'MaxPoolGrad'> = {
  layout: 'planes',
  applies: ({ madeBy, inputs: [x], attributes: { kernel_shape }, native }) =>
    behindRelu(madeBy?.[0]) && kernel_shape.join() === TWICE && halves(x!, native),
  build(g, { native }, operands) {
    const x = operands.planes(0);
    const [n, c] = x.shape;
    const [maxima, gradients] = [allSlices(g, operands.planes(1)), allSlices(g, operands.planes(2))];
    const steep = sameKernel(g, c, native!.block, [[STEEP]]);
    const one = g.add('Expand', [g.scalar(1), g.integers([c])]);
    const ranges = chunkRanges(x.shape, native!);
    const chunks = x.chunks.map(({ even, odd }, i) => {
      const larger = (all: Value) => {
        const part = slicesFrom(g, all, n, ...ranges[i]!);
        return weave(g, [part, part, part, part], native!.block);
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
