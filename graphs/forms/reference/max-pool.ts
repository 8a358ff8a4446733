import type { GraphBuilder } from '../../onnx/builder.js';
import { findOperator } from '../../onnx/registry.js';
import { type FloatType, knownShape, type Node, sizeOf, type Value } from '../../onnx/types.js';
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

/**
 * Every value twice along each axis of x [N,C,D,H,W], as `upsampleNearest` does it but faster: along the last axis by
 * a product with a matrix of zeros and ones, along the others by joining whole rows and planes.
 */
function doubled(g: GraphBuilder, x: Value): Value {
  const [n, c, d, h, w] = knownShape(x.shape, 'MaxPool');
  const rows = n! * c! * d! * h!;
  const data = new Array<number>(2 * w! * w!).fill(0);
  for (let i = 0; i < 2 * w!; i++) data[(i >> 1) * 2 * w! + i] = 1;
  const wide = g.add('MatMul', [g.reshape(x, [rows, w!]), g.floats(data, [w!, 2 * w!], x.type as FloatType)]);
  const high = g.reshape(g.add('Concat', [wide, wide], { axis: 1 }), [rows / h!, 4 * h! * w!]);
  const deep = g.add('Concat', [high, high], { axis: 1 });
  return g.reshape(deep, [n!, c!, 2 * d!, 2 * h!, 2 * w!]);
}

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
  build(g, { inputs: [x, y, dy] }) {
    const below = g.add('Less', [g.add('Sub', [x!, doubled(g, y!)]), g.scalar(0, x!.type)]);
    return [g.add('Where', [below, g.scalar(0, dy!.type), doubled(g, dy!)])];
  },
};
