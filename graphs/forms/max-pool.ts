import { repeat } from '../onnx/blocks.js';
import { knownShape, sizeOf } from '../onnx/types.js';
import type { Form } from './form.js';

/** dy scattered to where the forward pass found each window's first maximum. */
export const maxPoolGradScatter: Form<'MaxPoolGrad'> = {
  build(g, { inputs: [x, , dy], attributes: { kernel_shape } }) {
    const [, indices] = g.addMany('MaxPool', [x!], { kernel_shape, strides: kernel_shape }, 2);
    const total = sizeOf(knownShape(x!.shape, 'MaxPool'));
    const count = sizeOf(knownShape(dy!.shape, 'MaxPool'));
    const zeros = g.add('Expand', [g.scalar(0, dy!.type), g.integers([total])]);
    const scattered = g.add('ScatterElements', [
      zeros,
      g.reshape(indices!, [count]),
      g.reshape(dy!, [count]),
    ]);
    return [g.reshape(scattered, knownShape(x!.shape, 'MaxPool'))];
  },
};

/**
 * dy wherever x equals its window's maximum. All equal maxima receive it, so this serves only where ties carry
 * no gradient any further: behind a ReLU, whose ties are its zeros (others have probability zero).
 */
export const maxPoolGradMask: Form<'MaxPoolGrad'> = {
  applies: ({ madeBy }) => madeBy?.[0] === 'Relu',
  build(g, { inputs: [x, y, dy], attributes: { kernel_shape } }) {
    const isMaximum = g.add('Equal', [x!, repeat(g, y!, kernel_shape)]);
    return [g.add('Where', [isMaximum, repeat(g, dy!, kernel_shape), g.scalar(0, dy!.type)])];
  },
};
