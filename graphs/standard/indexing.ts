import { normalAxis } from '../onnx/operator.js';
import { range } from '../onnx/range.js';
import { knownShape, sizeOf, TYPE_CODES, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';
import { take } from './shapes.js';

/** The first `dims` axes of data and indices belong together: they become part of the indices. */
function withBatch(n: StandardNode, indices: Value, dims: number): Value {
  if (dims === 0) return indices;
  const shape = knownShape(indices.shape, 'GatherND');
  const places = range(dims).map((axis) => {
    const along = n.g.reshape(
      n.g.integers(range(shape[axis]!)),
      shape.map((size, i) => (i === axis ? size : 1)),
    );
    return n.g.add('Expand', [along, n.g.integers([...shape.slice(0, -1), 1])]);
  });
  return n.g.add('Concat', [...places, indices], { axis: shape.length - 1 });
}

export const indexing: Translations = {
  Compress: (n) => {
    const flat = !n.has('axis');
    const x = flat ? n.g.reshape(n.input(0), [-1]) : n.input(0);
    const places = n.numbers(1).flatMap((chosen, i) => (chosen ? [i] : []));
    return take(n.g, x, places, flat ? 0 : n.axis('axis', 0));
  },
  ReverseSequence: (n) => {
    const [batch, time] = [n.axis('batch_axis', 1), n.axis('time_axis', 0)];
    const shape = n.shape(0);
    const lengths = n.numbers(1);
    const pitch = (axis: number) => sizeOf(shape.slice(axis + 1));
    const places = range(sizeOf(shape)).map((i) => {
      const at = (axis: number) => Math.floor(i / pitch(axis)) % shape[axis]!;
      const length = lengths[at(batch)]!;
      return at(time) < length ? i + (length - 1 - 2 * at(time)) * pitch(time) : i;
    });
    return n.g.reshape(take(n.g, n.g.reshape(n.input(0), [-1]), places, 0), shape);
  },
  GatherND: (n) => n.g.add('GatherND', [n.input(0), withBatch(n, n.input(1), n.int('batch_dims', 0))]),
  Scatter: (n) => n.g.add('ScatterElements', n.inputs, { axis: n.axis('axis', 0) }),
  TopK: (n) => {
    const attributes = { axis: n.axis('axis', -1), largest: n.int('largest', 1), sorted: n.int('sorted', 1) };
    const k = n.constants(1) ?? [n.int('k', 1)];
    return n.g.addMany('TopK', [n.input(0), n.g.integers(k)], attributes, 2);
  },
  OneHot: (n) => {
    const depth = n.numbers(1)[0]!;
    const indices = n.input(0);
    const rank = indices.shape.length + 1;
    const axis = normalAxis(n.int('axis', -1), rank);
    const { f, g } = n;
    const expanded = g.add('Unsqueeze', [indices, g.integers([axis])]);
    const wrapped = f.where(f.less(expanded, 0), f.add(expanded, depth), expanded);
    const positions = g.reshape(
      g.add('Cast', [g.integers(range(depth))], { to: TYPE_CODES[indices.type] }),
      range(rank).map((i) => (i === axis ? depth : 1)),
    );
    const [off, on] = g.addMany('Split', [n.input(2), g.integers([1, 1])], { axis: 0 }, 2);
    return f.where(f.equal(wrapped, positions), on!, off!);
  },
};
