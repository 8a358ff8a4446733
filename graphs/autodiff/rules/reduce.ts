import type { GraphBuilder } from '../../onnx/builder.js';
import { normalAxis } from '../../onnx/operator.js';
import type { reductions } from '../../onnx/ops/reduce.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import type { Rule, Rules } from '../rule.js';

/** The reduced axes, counted from the start. */
const reducedAxes = (g: GraphBuilder, axes: Value, rank: number): number[] =>
  Array.from(g.tensorOf(axes).data as BigInt64Array, (axis) => normalAxis(Number(axis), rank));

/** A reduced value with the reduced axes back as size 1, so that it broadcasts against x. */
function kept(g: GraphBuilder, reduced: Value, x: Value, axes: Value): Value {
  const gone = reducedAxes(g, axes, x.shape.length);
  return g.reshape(
    reduced,
    knownShape(x.shape, 'a gradient').map((d, i) => (gone.includes(i) ? 1 : d)),
  );
}
/** The same, repeated to the shape of x. */
const spread = (g: GraphBuilder, dy: Value, x: Value, axes: Value) =>
  g.add('Expand', [kept(g, dy, x, axes), g.integers(knownShape(x.shape, 'a gradient'))]);

/** Equal maxima, or minima, share. */
const extremum: Rule<'ReduceMax' | 'ReduceMin'> = ({ g, inputs: [x, axes], outputs: [y], dy }) => [
  () => {
    const one = g.scalar(1, dy.type);
    const zero = g.scalar(0, dy.type);
    const mask = g.add('Where', [g.add('Equal', [x!, kept(g, y!, x!, axes!)]), one, zero]);
    const ties = g.add('ReduceSum', [mask, axes!]);
    return g.add('Mul', [mask, g.add('Div', [kept(g, dy, x!, axes!), ties])]);
  },
  null,
];

export const reduceRules: Rules<keyof typeof reductions> = {
  ReduceSum: ({ g, inputs: [x, axes], dy }) => [() => spread(g, dy, x!, axes!), null],
  ReduceMean: ({ g, inputs: [x, axes], dy }) => [
    () => {
      const count = sizeOf(knownShape(x!.shape, 'a mean')) / sizeOf(knownShape(dy.shape, 'a mean'));
      return spread(g, g.add('Mul', [dy, g.scalar(1 / count, dy.type)]), x!, axes!);
    },
    null,
  ],
  ReduceMax: extremum,
  ReduceMin: extremum,
  // The product of all others, which is right where some are zero too: each value once for every other, with 1 in its own place.
  ReduceProd: ({ g, inputs: [x, axes], dy }) => [
    () => {
      const shape = knownShape(x!.shape, 'a gradient');
      const gone = reducedAxes(g, axes!, shape.length);
      const perm = [...shape.keys()].sort((a, b) => Number(gone.includes(a)) - Number(gone.includes(b)));
      const count = sizeOf(gone.map((axis) => shape[axis]!));
      const rows = g.reshape(g.transpose(x!, perm), [-1, 1, count]);
      const isOwn = g.mask([count, count], (i) => i % (count + 1) === 0);
      const others = g.add('Where', [isOwn, g.scalar(1, dy.type), rows]);
      const product = g.add('ReduceProd', [others, g.integers([2])], { keepdims: 0 });
      const moved = g.reshape(
        product,
        perm.map((axis) => shape[axis]!),
      );
      const back = g.transpose(
        moved,
        perm.map((_, axis) => perm.indexOf(axis)),
      );
      return g.add('Mul', [back, kept(g, dy, x!, axes!)]);
    },
    null,
  ],
  ReduceLogSumExp: ({ g, inputs: [x, axes], outputs: [y], dy }) => [
    () => {
      const share = g.add('Exp', [g.add('Sub', [x!, kept(g, y!, x!, axes!)])]);
      return g.add('Mul', [kept(g, dy, x!, axes!), share]);
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
  CumSum: ({ g, inputs: [, axis], attributes: { exclusive, reverse }, dy }) => [
    () => g.add('CumSum', [dy, axis!], { exclusive, reverse: 1 - reverse }),
    null,
  ],
  LogSoftmax: ({ g, outputs: [y], attributes: { axis }, dy }) => [
    () => g.add('Sub', [dy, g.add('Mul', [g.add('Exp', [y!]), g.sum(dy, [axis])])]),
  ],
};
