import type { GraphBuilder } from '../onnx/builder.js';
import { normalAxis } from '../onnx/operator.js';
import { range } from '../onnx/range.js';
import { GraphError, sizeOf, type Value } from '../onnx/types.js';
import type { StandardNode, Translation, Translations } from './node.js';

const mod = (a: number, b: number) => ((a % b) + b) % b;

/** Values of x at constant places along one axis. */
export const take = (g: GraphBuilder, x: Value, places: readonly number[], axis: number) =>
  g.add('Gather', [x, g.integers(places)], { axis });

/** x with zeros, or another number, around one axis. */
const padAxis = (g: GraphBuilder, x: Value, axis: number, begin: number, end: number) => {
  const rank = x.shape.length;
  return g.add('Pad', [
    x,
    g.integers(range(2 * rank).map((i) => (i === axis ? begin : i === axis + rank ? end : 0))),
  ]);
};

/** Where along an axis of `size` the value at place `i`, which may lie outside, is taken from. */
const SOURCES: ReadonlyMap<string, (i: number, size: number) => number> = new Map(
  Object.entries({
    edge: (i, size) => Math.min(Math.max(i, 0), size - 1),
    wrap: mod,
    reflect(i, size) {
      const at = mod(i, Math.max(2 * (size - 1), 1));
      return at < size ? at : 2 * (size - 1) - at;
    },
  }),
);

function pad(n: StandardNode): Value {
  const x = n.input(0);
  const shape = n.shape(0);
  const rank = shape.length;
  const given = n.list('pads', 1) ?? [];
  const axes = (n.constants(3) ?? range(rank)).map((axis) => normalAxis(axis, rank));
  const pads = Array<number>(2 * rank).fill(0);
  for (const [i, axis] of axes.entries()) {
    pads[axis] = given[i]!;
    pads[axis + rank] = given[i + axes.length]!;
  }
  const mode = n.string('mode', 'constant');
  if (mode === 'constant') {
    const value = n.optional(2) ?? n.g.scalar(n.float('value', 0), x.type);
    return n.g.add('Pad', [x, n.g.integers(pads), value]);
  }
  const source = SOURCES.get(mode);
  if (!source) throw new GraphError(`mode "${mode}" is unknown`);
  return shape.reduce((padded, size, axis) => {
    const [begin, end] = [pads[axis]!, pads[axis + rank]!];
    if (begin === 0 && end === 0) return padded;
    const places = range(size + begin + end).map((i) => source(i - begin, size));
    return take(n.g, padded, places, axis);
  }, x);
}

/** Sizes of the parts: given, or as equal as can be, the last one smaller. */
function splitSizes(n: StandardNode, size: number): readonly number[] {
  const given = n.list('split', 1);
  if (given) return given;
  const count = n.int('num_outputs', n.node.outputs.length);
  const part = Math.ceil(size / count);
  return range(count).map((i) => Math.min(part, size - i * part));
}

/** [N,C,…] as blocks: the order of the axes of the block, of space, and of the channels that stay. */
function depthToSpace(n: StandardNode): Value {
  const [batch, channels, height, width] = n.shape(0) as [number, number, number, number];
  const block = n.int('blocksize', 1);
  const depth = channels / block ** 2;
  const columnsFirst = n.string('mode', 'DCR') === 'CRD';
  const split = columnsFirst ? [depth, block, block] : [block, block, depth];
  const perm = columnsFirst ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2];
  const blocks = n.g.transpose(n.g.reshape(n.input(0), [batch, ...split, height, width]), perm);
  return n.g.reshape(blocks, [batch, depth, height * block, width * block]);
}

function spaceToDepth(n: StandardNode): Value {
  const [batch, channels, height, width] = n.shape(0) as [number, number, number, number];
  const block = n.int('blocksize', 1);
  const [h, w] = [height / block, width / block];
  const blocks = n.g.reshape(n.input(0), [batch, channels, h, block, w, block]);
  const columnsFirst = n.string('mode', 'DCR') === 'CRD';
  const perm = columnsFirst ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4];
  return n.g.reshape(n.g.transpose(blocks, perm), [batch, channels * block ** 2, h, w]);
}

const reshape =
  (shape: (n: StandardNode) => readonly number[]): Translation =>
  (n) =>
    n.g.reshape(n.input(0), shape(n));

export const shapes: Translations = {
  Reshape: (n) => {
    const shape = n.list('shape', 1) ?? [];
    if (n.int('allowzero', 0) === 1 && shape.includes(0))
      throw new GraphError('tensors without values are unsupported');
    return n.g.reshape(n.input(0), shape);
  },
  Flatten: reshape((n) => {
    const shape = n.shape(0);
    const axis = n.int('axis', 1);
    const from = axis < 0 ? axis + shape.length : axis;
    return [sizeOf(shape.slice(0, from)), sizeOf(shape.slice(from))];
  }),
  Squeeze: reshape((n) => {
    const shape = n.shape(0);
    const gone = n.list('axes', 1)?.map((axis) => normalAxis(axis, shape.length));
    return shape.filter((size, i) => (gone ? !gone.includes(i) : size !== 1));
  }),
  Unsqueeze: (n) => n.g.add('Unsqueeze', [n.input(0), n.g.integers(n.list('axes', 1) ?? [])]),
  Transpose: (n) => n.g.transpose(n.input(0), n.ints('perm') ?? range(n.shape(0).length).reverse()),
  Concat: (n) => n.g.add('Concat', n.inputs, { axis: n.axis('axis', 0) }),
  Split: (n) => {
    const axis = n.axis('axis', 0);
    const sizes = splitSizes(n, n.shape(0)[axis]!);
    return n.g.addMany('Split', [n.input(0), n.g.integers(sizes)], { axis }, sizes.length);
  },
  Slice: (n) => {
    const starts = n.list('starts', 1) ?? [];
    const axes = n.list('axes', 3) ?? starts.map((_, i) => i);
    return n.g.slice(n.input(0), starts, n.list('ends', 2) ?? [], axes, n.constants(4));
  },
  Pad: pad,
  Tile: (n) => {
    const shape = n.shape(0);
    const repeats = n.numbers(1);
    const apart = n.g.reshape(
      n.input(0),
      shape.flatMap((size) => [1, size]),
    );
    const repeated = n.g.add('Expand', [
      apart,
      n.g.integers(shape.flatMap((size, i) => [repeats[i]!, size])),
    ]);
    return n.g.reshape(
      repeated,
      shape.map((size, i) => size * repeats[i]!),
    );
  },
  Trilu: (n) => {
    const [rows, columns] = n.shape(0).slice(-2) as [number, number];
    const k = n.constants(1)?.[0] ?? 0;
    const upper = n.int('upper', 1) === 1;
    const kept = n.g.mask([rows, columns], (i) => {
      const above = (i % columns) - Math.floor(i / columns) - k;
      return upper ? above >= 0 : above <= 0;
    });
    return n.f.where(kept, n.input(0), 0);
  },
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  CenterCropPad: (n) => {
    const rank = n.shape(0).length;
    const axes = (n.ints('axes') ?? range(rank)).map((axis) => normalAxis(axis, rank));
    return n.numbers(1).reduce((x, size, i) => {
      const axis = axes[i]!;
      const extra = size - n.shape(0)[axis]!;
      const begin = extra < 0 ? -Math.floor(-extra / 2) : Math.floor(extra / 2);
      return extra === 0 ? x : padAxis(n.g, x, axis, begin, extra - begin);
    }, n.input(0));
  },
};
