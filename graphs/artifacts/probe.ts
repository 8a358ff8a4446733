import { GraphBuilder } from '../onnx/builder.js';
import { toModel } from '../onnx/model.js';
import { encodeModel } from '../onnx/schema.js';

/** A model of one node, y = x + 1 for float32 [1]: whether a provider really runs. */
export function probeModel(): Uint8Array {
  const g = new GraphBuilder('probe');
  g.output(
    'y',
    g.add('Add', [
      g.input('x', 'float32', [1]),
      g.constant({ type: 'float32', shape: [1], data: Float32Array.of(1) }),
    ]),
  );
  return encodeModel(toModel(g.build()));
}
