import type { GraphBuilder } from '../../onnx/builder.js';
import { normalAxis } from '../../onnx/operator.js';
import type { reductions } from '../../onnx/ops/reduce.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import type { Rules } from '../rule.js';

/** A reduced value with the reduced axes back as size 1, so that it broadcasts against x. */
function kept(g: GraphBuilder, reduced: Value, x: Value, axes: Value): Value {
  const gone = Array.from(g.tensorOf(axes).data as BigInt64Array, (a) =>
    normalAxis(Number(a), x.shape.length),
  );
  return g.reshape(
    reduced,
    knownShape(x.shape, 'a gradient').map((d, i) => (gone.includes(i) ? 1 : d)),
  );
}
/** The same, repeated to the shape of x. */
const spread = (g: GraphBuilder, dy: Value, x: Value, axes: Value) =>
  g.add('Expand', [kept(g, dy, x, axes), g.integers(knownShape(x.shape, 'a gradient'))]);

export const reduceRules: Rules<keyof typeof reductions> = {
  ReduceSum: ({ g, inputs: [x, axes], dy }) => [() => spread(g, dy, x!, axes!), null],
  ReduceMean: ({ g, inputs: [x, axes], dy }) => [
    () => {
      const count = sizeOf(knownShape(x!.shape, 'a mean')) / sizeOf(knownShape(dy.shape, 'a mean'));
      return spread(g, g.add('Mul', [dy, g.scalar(1 / count, dy.type)]), x!, axes!);
    },
    null,
  ],
  // Equal maxima share.
  ReduceMax: ({ g, inputs: [x, axes], outputs: [y], dy }) => [
    () => {
      const one = g.scalar(1, dy.type);
      const zero = g.scalar(0, dy.type);
      const mask = g.add('Where', [g.add('Equal', [x!, kept(g, y!, x!, axes!)]), one, zero]);
      const ties = g.add('ReduceSum', [mask, axes!]);
      return g.add('Mul', [mask, g.add('Div', [kept(g, dy, x!, axes!), ties])]);
    },
    null,
  ],
  ReduceSumSquare: ({ g, inputs: [x, axes], dy }) => [
    () => g.add('Mul', [x!, g.add('Mul', [kept(g, dy, x!, axes!), g.scalar(2, dy.type)])]),
    null,
  ],
  Softmax: ({ g, outputs: [y], attributes: { axis }, dy }) => [
    () => g.add('Mul', [y!, g.add('Sub', [dy, g.sum(g.add('Mul', [dy, y!]), [axis])])]),
  ],
  LogSoftmax: ({ g, outputs: [y], attributes: { axis }, dy }) => [
    () => g.add('Sub', [dy, g.add('Mul', [g.add('Exp', [y!]), g.sum(dy, [axis])])]),
  ],
};
