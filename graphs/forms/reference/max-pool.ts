import { repeatVoxels } from '../../onnx/blocks.js';
import { findOperator } from '../../onnx/registry.js';
import { knownShape, type Node, sizeOf } from '../../onnx/types.js';
import type { PlainForm } from '../form.js';

/** dy scattered to where the forward pass found each window's first maximum. */
export const maxPoolGradScatter: PlainForm<'MaxPoolGrad'> = {
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

/** Whether a value is at least 0 and its zeros carry no gradient. */
export function behindRelu(maker: Node | undefined): boolean {
  const operator = maker && findOperator(maker);
  if (operator === 'BatchNorm' || operator === 'ChannelAffine') return maker?.attributes.relu?.value === 1;
  return operator === 'Relu';
}

/**
 * dy wherever x is its window's maximum. All equal maxima receive it, so this serves only where ties carry no
 * gradient any further: behind a ReLU, whose ties are its zeros (others have probability zero).
 */
export const maxPoolGradMask: PlainForm<'MaxPoolGrad'> = {
  applies: ({ madeBy, inputs: [x], attributes: { kernel_shape } }) =>
    behindRelu(madeBy?.[0]) && x!.shape.length === 5 && kernel_shape.join() === '2,2,2',
  build(g, { inputs: [x, y, dy], attributes: { kernel_shape } }) {
    const [maximum, gradient] = [repeatVoxels(g, y!, kernel_shape), repeatVoxels(g, dy!, kernel_shape)];
    const below = g.add('Less', [g.add('Sub', [x!, maximum]), g.scalar(0, x!.type)]);
    return [g.add('Where', [below, g.scalar(0, dy!.type), gradient])];
  },
};
