import { GraphBuilder } from '../onnx/builder.js';
import { toModel } from '../onnx/model.js';
import { encodeModel } from '../onnx/schema.js';

/**
 * A model of one node, a convolution of x [1,1,3,3,3] float32 with ones: whether a provider really runs what networks
 * need. A GPU without cuDNN can add, but not convolve.
 */
export function probeModel(): Uint8Array {
  const g = new GraphBuilder('probe');
  const shape = [1, 1, 3, 3, 3];
  const ones = g.constant({ type: 'float32', shape, data: new Float32Array(27).fill(1) });
  g.output('y', g.add('Conv', [g.input('x', 'float32', shape), ones]));
  return encodeModel(toModel(g.build()));
}
