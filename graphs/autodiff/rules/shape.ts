import type { GraphBuilder } from '../../onnx/builder.js';
import { normalAxis } from '../../onnx/operator.js';
import { type shaping, sliced } from '../../onnx/ops/shape.js';
import { GraphError, knownShape, sizeOf, type Value } from '../../onnx/types.js';
import type { Application, Rules } from '../rule.js';

/** dy in the shape of x: the gradient of all that only renames axes. */
const asShapeOf = (g: GraphBuilder, dy: Value, x: Value) => g.reshape(dy, knownShape(x.shape, 'a gradient'));

const zeros = (g: GraphBuilder, like: Value): Value => {
  const shape = knownShape(like.shape, 'a gradient');
  return g.full(0, shape, like.type);
};

/** Begin and end of one axis as `Pad` wants them. */
const padAxis = (rank: number, axis: number, begin: number, end: number) =>
  Array.from({ length: 2 * rank }, (_, i) => (i === axis ? begin : i === axis + rank ? end : 0));

/** Undoes one axis of a Slice: flips back, spreads by the step, and pads with zeros to the old size. */
function unslice(g: GraphBuilder, dy: Value, axis: number, size: number, start: number, step: number): Value {
  const shape = knownShape(dy.shape, 'a gradient');
  const count = shape[axis]!;
  const stride = Math.abs(step);
  let spread = dy;
  let first = start;
  if (step < 0) {
    spread = g.slice(spread, [-1], [-count - 1], [axis], [-1]);
    first = start - (count - 1) * stride;
  }
  if (stride > 1) {
    const apart = [...shape.slice(0, axis + 1), 1, ...shape.slice(axis + 1)];
    const padded = g.add('Pad', [
      g.reshape(spread, apart),
      g.integers(padAxis(apart.length, axis + 1, 0, stride - 1)),
    ]);
    spread = g.reshape(
      padded,
      shape.map((d, i) => (i === axis ? d * stride : d)),
    );
  }
  const end = size - first - count * stride;
  return g.add('Pad', [spread, g.integers(padAxis(shape.length, axis, first, end))]);
}

/** The values of an int64 constant. */
const constants = (g: GraphBuilder, value: Value) =>
  Array.from(g.tensorOf(value).data as BigInt64Array, Number);

/** Where indices begin that are constant and follow each other, as one does; null for any others. */
function startOfRange(g: GraphBuilder, indices: Value, size: number): number | null {
  if (!g.isConstant(indices)) return null;
  const [first = 0, ...rest] = constants(g, indices).map((index) => (index < 0 ? index + size : index));
  return rest.every((index, i) => index === first + i + 1) ? first : null;
}

/** Zeros in the shape of x, with `updates` added, along an axis, where `indices` say. */
const scattered = (g: GraphBuilder, x: Value, indices: Value, updates: Value, axis: number) =>
  g.add('ScatterElements', [zeros(g, x), indices, updates], { axis, reduction: 'add' });

/**
 * The gradients of data, indices and updates of a scatter operator, by what takes values from a tensor at the indices, and
 * what writes some there.
 */
function scatterGradients(
  g: GraphBuilder,
  {
    inputs,
    outputs: [y],
    dy,
    reduction,
  }: Pick<Application<'ScatterND'>, 'inputs' | 'outputs' | 'dy'> & { reduction: string },
  take: (x: Value) => Value,
  write: (x: Value, updates: Value, reduction: 'none' | 'add' | 'mul') => Value,
): readonly ((() => Value) | null)[] {
  const [data, , updates] = inputs as [Value, Value, Value];
  const [zero, one] = [g.scalar(0, dy.type), g.scalar(1, dy.type)];
  const ones = (mask: Value) => g.add('Where', [mask, one, zero]);
  switch (reduction) {
    case 'none':
      return [() => write(dy, zeros(g, updates), 'none'), null, () => take(dy)];
    case 'add':
      return [() => dy, null, () => take(dy)];
    // The product of all others, which is right where some are zero too.
    case 'mul':
      return [
        () =>
          g.add('Mul', [dy, write(g.full(1, knownShape(data.shape, 'a gradient'), dy.type), updates, 'mul')]),
        null,
        () => {
          const isZero = g.add('Equal', [updates, zero]);
          const factors = g.add('Where', [isZero, one, updates]);
          const product = g.add('Div', [take(write(data, factors, 'mul')), factors]);
          const all = take(write(zeros(g, data), ones(isZero), 'add'));
          const isOtherZero = g.add('Greater', [g.add('Sub', [all, ones(isZero)]), zero]);
          return g.add('Mul', [take(dy), g.add('Where', [isOtherZero, zero, product])]);
        },
      ];
    // Equal maxima, or minima, share.
    default: {
      const isData = ones(g.add('Equal', [data, y!]));
      const isUpdate = ones(g.add('Equal', [updates, take(y!)]));
      const share = g.add('Div', [dy, write(isData, isUpdate, 'add')]);
      return [() => g.add('Mul', [isData, share]), null, () => g.add('Mul', [isUpdate, take(share)])];
    }
  }
}

export const shapeRules: Rules<keyof typeof shaping> = {
  Reshape: ({ g, inputs: [x], dy }) => [() => asShapeOf(g, dy, x!), null],
  Unsqueeze: ({ g, inputs: [x], dy }) => [() => asShapeOf(g, dy, x!), null],
  Squeeze: ({ g, inputs: [x], dy }) => [() => asShapeOf(g, dy, x!), null],
  // The engine sums what was repeated.
  Expand: ({ dy }) => [() => dy, null],
  Gather: ({ g, inputs: [x, indices], attributes: { axis }, dy }) => [
    () => {
      const shape = knownShape(x!.shape, 'a gradient');
      const a = normalAxis(axis, shape.length);
      const count = sizeOf(knownShape(indices!.shape, 'a gradient'));
      const taken = shape.map((d, i) => (i === a ? count : d));
      const start = startOfRange(g, indices!, shape[a]!);
      if (start !== null)
        return g.add('Pad', [
          g.reshape(dy, taken),
          g.integers(padAxis(shape.length, a, start, shape[a]! - start - count)),
        ]);
      const along = g.reshape(
        indices!,
        taken.map((_, i) => (i === a ? count : 1)),
      );
      return scattered(g, x!, g.add('Expand', [along, g.integers(taken)]), g.reshape(dy, taken), a);
    },
    null,
  ],
  GatherElements: ({ g, inputs: [x, indices], attributes: { axis }, dy }) => [
    () => scattered(g, x!, indices!, dy, axis),
    null,
  ],
  GatherND: ({ g, inputs: [x, indices], dy }) => [
    () => g.add('ScatterND', [zeros(g, x!), indices!, dy], { reduction: 'add' }),
    null,
  ],
  ScatterElements: ({ g, inputs, outputs, attributes: { axis, reduction }, dy }) =>
    scatterGradients(
      g,
      { inputs, outputs, dy, reduction },
      (x) => g.add('GatherElements', [x, inputs[1]!], { axis }),
      (x, updates, how) => g.add('ScatterElements', [x, inputs[1]!, updates], { axis, reduction: how }),
    ),
  ScatterND: ({ g, inputs, outputs, attributes: { reduction }, dy }) =>
    scatterGradients(
      g,
      { inputs, outputs, dy, reduction },
      (x) => g.add('GatherND', [x, inputs[1]!]),
      (x, updates, how) => g.add('ScatterND', [x, inputs[1]!, updates], { reduction: how }),
    ),
  TopK: ({ g, inputs: [x], outputs: [, indices], attributes: { axis }, dy }) => [
    () => scattered(g, x!, indices!, dy, axis),
    null,
  ],
  Transpose: ({ g, attributes: { perm }, dy }) => [
    () =>
      g.transpose(
        dy,
        perm.map((_, i) => perm.indexOf(i)),
      ),
  ],
  Concat: ({ g, inputs, attributes: { axis }, dy }) => {
    const a = normalAxis(axis, dy.shape.length);
    let end = 0;
    return inputs.map((x) => {
      const start = end;
      end += x.shape[a] as number;
      const stop = end;
      return () => g.slice(dy, [start], [stop], [a]);
    });
  },
  Split: ({ g, outputs, attributes: { axis }, gradients }) => [
    () =>
      g.add(
        'Concat',
        gradients.map((dy, i) => dy ?? zeros(g, outputs[i]!)),
        { axis },
      ),
    null,
  ],
  Slice: ({ g, inputs: [x, starts, ends, axes, steps], dy }) => [
    () => {
      const shape = knownShape(x!.shape, 'a gradient');
      const [from, to] = [constants(g, starts!), constants(g, ends!)];
      const stride = steps ? constants(g, steps) : from.map(() => 1);
      return constants(g, axes!).reduce((gradient, axis, i) => {
        const a = normalAxis(axis, shape.length);
        const size = shape[a]!;
        const { start } = sliced(size, from[i]!, to[i]!, stride[i]!);
        return unslice(g, gradient, a, size, start, stride[i]!);
      }, dy);
    },
    null,
    null,
    null,
    null,
  ],
  Pad: ({ g, inputs: [, pads], attributes: { mode }, dy }) => {
    const cut = () => {
      if (mode !== 'constant')
        throw new GraphError(`Pad has a gradient in mode "constant" only, not "${mode}"`);
      return g.add('Pad', [dy, g.integers(constants(g, pads!).map((p) => -p))]);
    };
    return [
      cut,
      null,
      // What fell on the padding.
      () => {
        const all = (value: Value) => g.sum(value, [...value.shape.keys()], 0);
        return g.add('Sub', [all(dy), all(cut())]);
      },
    ];
  },
};
