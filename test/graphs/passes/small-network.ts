import { plainForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { decodeModel, encodeModel } from '../../../graphs/onnx/schema.js';
import type { Graph, Value } from '../../../graphs/onnx/types.js';
import { noise } from '../run.js';

/**
 * A network with all that those of this package have, as it is read from a file: `x` [1,1,8,8,8] → `features` [1,8,1,1,1] and
 * `probabilities` [1,2,8,8,8].
 */
export function smallNetwork(): Graph {
  const g = new GraphBuilder('network');
  let seed = 0;
  const stored = (name: string, shape: readonly number[], scale: number) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return g.initializer(name, { type: 'float32', shape, data: noise(size, ++seed, scale) });
  };
  const operands = (name: string, x: Value, channels: number, kernel: number) => {
    const inputs = x.shape[1] as number;
    const scale = 1.5 / Math.sqrt(inputs * kernel ** 3);
    const weight = stored(`${name}.weight`, [channels, inputs, kernel, kernel, kernel], scale);
    return [x, weight, stored(`${name}.bias`, [channels], 0.1)];
  };
  const conv = (name: string, x: Value, channels: number, kernel: number) => {
    const pad = (kernel - 1) / 2;
    return g.add('Conv', operands(name, x, channels, kernel), {
      kernel_shape: [kernel, kernel, kernel],
      pads: [pad, pad, pad, pad, pad, pad],
      strides: [1, 1, 1],
    });
  };
  const x = g.input('x', 'float32', [1, 1, 8, 8, 8]);
  const clipped = g.add('Clip', [x, g.scalar(-1000), g.scalar(1000)]);
  const first = g.add('Relu', [conv('a', g.add('Mul', [clipped, g.scalar(1e-3)]), 4, 3)]);
  const pooled = g.add('MaxPool', [first], { kernel_shape: [2, 2, 2], strides: [2, 2, 2] });
  const deep = g.add('Relu', [conv('b', pooled, 8, 3)]);
  g.output('features', g.add('GlobalAveragePool', [deep]));
  const larger = g.add('UpsampleConv', operands('c', deep, 4, 3));
  const joined = g.add('Relu', [g.add('Add', [larger, conv('d', first, 4, 3)])]);
  g.output('probabilities', g.add('Sigmoid', [conv('e', joined, 2, 1)]));
  return decodeModel(encodeModel(toModel(lower(g.build(), { choose: plainForms })))).graph;
}
