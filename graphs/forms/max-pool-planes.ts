import type { Value } from '../onnx/types.js';
import type { PlanesForm } from './form.js';
import { behindRelu } from './max-pool.js';
import { allSlices, depthwise, fitsPlanes, mapPlanes, sameKernel, splitSlices } from './planes.js';
import { weave } from './upsample-planes.js';

const HALVING = { kernel_shape: [2, 2], strides: [2, 2] };
const TWICE = '2,2,2';

/** Whether x, and x at half its size, can be planes. */
const halves = (x: Value, block: number | null): boolean =>
  fitsPlanes(x.shape, block) &&
  x.shape.slice(2).every((size, i) => (size as number) % (i === 0 ? 4 : 2) === 0);

/** The maximum of a pair of slices, each pooled by itself. */
export const maxPoolPlanes: PlanesForm<'MaxPool'> = {
  layout: 'planes',
  applies: ({ inputs: [x], attributes: { kernel_shape, strides, pads }, block }) =>
    kernel_shape?.join() === TWICE &&
    strides?.join() === TWICE &&
    (pads ?? []).every((p) => p === 0) &&
    halves(x!, block),
  build(g, _, operands) {
    const x = operands.planes(0);
    const [n, c, ...sizes] = x.shape;
    const [even, odd] = mapPlanes(x, (half) => g.add('BlockedMaxPool', [half], HALVING));
    return [splitSlices(g, g.add('Max', [even, odd]), [n!, c!, ...sizes.map((s) => s / 2)])];
  },
};

/** As the plain mask: dy where x is its window's maximum. x − maximum is 0 there and negative elsewhere. */
export const maxPoolGradPlanes: PlanesForm<'MaxPoolGrad'> = {
  layout: 'planes',
  applies: ({ madeBy, inputs: [x], attributes: { kernel_shape }, block }) =>
    behindRelu(madeBy?.[0]) && kernel_shape.join() === TWICE && halves(x!, block),
  build(g, { block }, operands) {
    const x = operands.planes(0);
    const channels = x.shape[1]!;
    const larger = (v: Value) => weave(g, [v, v, v, v], block!);
    const maximum = larger(allSlices(g, operands.planes(1)));
    const gradient = larger(allSlices(g, operands.planes(2)));
    const steep = sameKernel(g, channels, block!, [[2 ** 127]]);
    const one = g.add('Expand', [g.scalar(1), g.integers([channels])]);
    const [even, odd] = mapPlanes(x, (half) => {
      const mask = depthwise(g, g.add('Sub', [half, maximum]), steep, { bias: one, relu: true });
      return g.add('Mul', [gradient, mask]);
    });
    return [{ even, odd, shape: x.shape }];
  },
};
