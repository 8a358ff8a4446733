import { GraphBuilder } from '../onnx/builder.js';
import { toModel } from '../onnx/model.js';
import { encodeModel } from '../onnx/schema.js';

/** A model of one node: `y` [N,M], the product of matrices `a` [N,inner] and `b` [inner,M]. */
export function productModel(inner: number): Uint8Array {
  const g = new GraphBuilder('product');
  const a = g.input('a', 'float32', ['N', inner]);
  const b = g.input('b', 'float32', [inner, 'M']);
  g.output('y', g.add('MatMul', [a, b]));
  return encodeModel(toModel(g.build()));
}
