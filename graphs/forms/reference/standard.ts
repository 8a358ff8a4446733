import type { GivenAttributes } from '../../onnx/operator.js';
import type { AttributesOf } from '../../onnx/ops/index.js';
import type { PlainForm } from '../form.js';

/** An ONNX operator as it is. */
export const asItIs = <K extends 'Add' | 'Conv' | 'ConvTranspose' | 'MaxPool' | 'Relu'>(
  operator: K,
): PlainForm<K> => ({
  build: (g, { inputs, attributes }) => [
    g.add(operator, inputs, attributes as unknown as GivenAttributes<AttributesOf<K>>),
  ],
});

/** Two ONNX operators. */
export const convRelu: PlainForm<'ConvRelu'> = {
  build: (g, call) => [g.add('Relu', asItIs('Conv').build(g, call))],
};

/** One ONNX operator. */
export const channelSum: PlainForm<'ChannelSum'> = {
  build: (g, { inputs: [x] }) => [
    g.sum(
      x!,
      x!.shape.map((_, axis) => axis).filter((axis) => axis !== 1),
      0,
    ),
  ],
};
