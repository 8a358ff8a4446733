import { knownShape, type Value } from '../onnx/types.js';
import type { Translations } from './node.js';

export const linear: Translations = {
  MatMul: ({ g, inputs }) => {
    const [a, b] = inputs as [Value, Value];
    const shape = (x: Value) => knownShape(x.shape, 'MatMul');
    // A vector is a row at the left, a column at the right, and the axis goes away again.
    const left = a.shape.length === 1 ? g.reshape(a, [1, ...shape(a)]) : a;
    const right = b.shape.length === 1 ? g.reshape(b, [...shape(b), 1]) : b;
    const product = g.add('MatMul', [left, right]);
    if (left === a && right === b) return product;
    const sizes = shape(product);
    const rank = sizes.length;
    return g.reshape(
      product,
      sizes.filter((_, i) => !(left !== a && i === rank - 2) && !(right !== b && i === rank - 1)),
    );
  },
};
