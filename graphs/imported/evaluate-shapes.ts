/** What moves values to other places. */
import { broadcast, normalAxis } from '../onnx/operator.js';
import { sliced } from '../onnx/ops/shape.js';
import { range } from '../onnx/range.js';
import { GraphError, sizeOf, type Tensor } from '../onnx/types.js';
import type { Evaluations, KnownNode } from './known-node.js';
import {
  allocate,
  broadcastStrides,
  forEachPlace,
  indexOf,
  numbersOf,
  picked,
  stridesOf,
  tensorBy,
} from './numbers.js';

function alongAxis(x: Tensor, axis: number, places: readonly number[]): Tensor {
  const strides = stridesOf(x.shape);
  const size = x.shape[axis]!;
  const wrapped = places.map((p) => {
    const at = p < 0 ? p + size : p;
    if (at >= 0 && at < size) return at;
    throw new GraphError(`index ${p} is out of range for an axis of ${size}`);
  });
  const shape = x.shape.map((d, i) => (i === axis ? places.length : d));
  const [outer, inner] = [sizeOf(x.shape.slice(0, axis)), strides[axis]!];
  const data = allocate(x.type, shape);
  for (let block = 0; block < outer; block++)
    for (const [to, from] of wrapped.entries()) {
      const start = (block * size + from) * inner;
      data.set((x.data as Float32Array).subarray(start, start + inner), (block * places.length + to) * inner);
    }
  return { type: x.type, shape, data };
}

const reshaped = ({ type, data }: Tensor, shape: readonly number[]): Tensor => ({ type, shape, data });

function reshape(n: KnownNode): Tensor {
  const x = n.input(0);
  const wanted = n.list('shape', 1) ?? [];
  const keepsZero = n.int('allowzero', 0) === 1;
  const copied = wanted.map((d, i) => (d === 0 && !keepsZero ? (x.shape[i] ?? 0) : d));
  const rest = sizeOf(copied.filter((d) => d !== -1));
  const shape = copied.map((d) => (d === -1 ? x.data.length / rest : d));
  if (sizeOf(shape) !== x.data.length) throw new GraphError(`[${x.shape}] cannot become [${wanted}]`);
  return reshaped(x, shape);
}

function slice(n: KnownNode): Tensor {
  const starts = n.list('starts', 1) ?? [];
  const ends = n.list('ends', 2) ?? [];
  const axes = n.list('axes', 3) ?? range(starts.length);
  const steps = n.list('steps', 4) ?? starts.map(() => 1);
  return axes.reduce((x, given, i) => {
    const axis = normalAxis(given, x.shape.length);
    const step = steps[i]!;
    if (step === 0) throw new GraphError('a slice has the step 0');
    const { start, count } = sliced(x.shape[axis]!, starts[i]!, ends[i]!, step);
    return alongAxis(
      x,
      axis,
      range(count).map((k) => start + k * step),
    );
  }, n.input(0));
}

function concat(n: KnownNode): Tensor {
  const tensors = n.inputs.map((_, i) => n.input(i));
  const { type, shape: first } = tensors[0]!;
  const axis = n.axis(0);
  const total = tensors.reduce((sum, { shape }) => sum + shape[axis]!, 0);
  const shape = first.map((d, i) => (i === axis ? total : d));
  const outer = sizeOf(first.slice(0, axis));
  const data = allocate(type, shape);
  let at = 0;
  for (let block = 0; block < outer; block++)
    for (const tensor of tensors) {
      const length = tensor.data.length / outer;
      data.set((tensor.data as Float32Array).subarray(block * length, (block + 1) * length), at);
      at += length;
    }
  return { type, shape, data };
}

function gather(n: KnownNode): Tensor {
  const [x, indices] = [n.input(0), n.input(1)];
  const axis = n.axis(0);
  const rows = alongAxis(x, axis, [...numbersOf(indices)]);
  return reshaped(rows, [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)]);
}

function gatherNd(n: KnownNode): Tensor {
  const [x, indices] = [n.input(0), n.input(1)];
  if (n.int('batch_dims', 0) !== 0) throw new GraphError('batch_dims are unsupported');
  const depth = indices.shape.at(-1)!;
  const strides = stridesOf(x.shape);
  const numbers = numbersOf(indices);
  const outer = indices.shape.slice(0, -1);
  const [outerStrides, inner] = [stridesOf(outer), x.shape.slice(depth)];
  return picked(x, [...outer, ...inner], (place) => {
    const row = outerStrides.reduce((sum, stride, i) => sum + stride * place[i]!, 0);
    const index = range(depth).map((i) => numbers[row * depth + i]!);
    const full = [...index.map((v, i) => (v < 0 ? v + x.shape[i]! : v)), ...place.slice(outer.length)];
    return strides.reduce((sum, stride, i) => sum + stride * full[i]!, 0);
  });
}

function scatterNd(n: KnownNode): Tensor {
  const [x, indices, updates] = [n.input(0), n.input(1), n.input(2)];
  if ((n.get('reduction', 'string') ?? 'none') !== 'none') throw new GraphError('reductions are unsupported');
  const depth = indices.shape.at(-1)!;
  const strides = stridesOf(x.shape);
  const numbers = numbersOf(indices);
  const block = sizeOf(x.shape.slice(depth));
  const data = x.data.slice();
  for (let row = 0; row < numbers.length / depth; row++) {
    const at = range(depth).reduce((sum, i) => {
      const v = numbers[row * depth + i]!;
      return sum + strides[i]! * (v < 0 ? v + x.shape[i]! : v);
    }, 0);
    if (at < 0 || at + block > data.length) throw new GraphError(`index ${at} is out of range`);
    for (let i = 0; i < block; i++) data[at + i] = updates.data[row * block + i] as number;
  }
  return { type: x.type, shape: x.shape, data };
}

export const shapeEvaluations: Evaluations = {
  Reshape: reshape,
  Flatten: (n) => {
    const { shape } = n.input(0);
    const axis = n.int('axis', 1);
    const from = axis < 0 ? axis + shape.length : axis;
    return reshaped(n.input(0), [sizeOf(shape.slice(0, from)), sizeOf(shape.slice(from))]);
  },
  Squeeze: (n) => {
    const { shape } = n.input(0);
    const gone = n.list('axes', 1)?.map((a) => normalAxis(a, shape.length));
    return reshaped(
      n.input(0),
      shape.filter((d, i) => (gone ? !gone.includes(i) : d !== 1)),
    );
  },
  Unsqueeze: (n) => {
    const { shape } = n.input(0);
    const given = n.list('axes', 1) ?? [];
    const rank = shape.length + given.length;
    const added = new Set(given.map((a) => normalAxis(a, rank)));
    const rest = [...shape];
    return reshaped(
      n.input(0),
      range(rank).map((i) => (added.has(i) ? 1 : rest.shift()!)),
    );
  },
  Transpose: (n) => {
    const x = n.input(0);
    const perm = n.get('perm', 'ints') ?? range(x.shape.length).reverse();
    const strides = stridesOf(x.shape);
    const turned = perm.map((p) => strides[p]!);
    return picked(
      x,
      perm.map((p) => x.shape[p]!),
      (place) => indexOf(place, turned),
    );
  },
  Expand: (n) => {
    const x = n.input(0);
    const shape = broadcast(x.shape, [...numbersOf(n.input(1))]) as number[];
    const strides = broadcastStrides(x.shape, shape.length);
    return picked(x, shape, (place) => indexOf(place, strides));
  },
  Tile: (n) => {
    const x = n.input(0);
    const repeats = numbersOf(n.input(1));
    const strides = stridesOf(x.shape);
    return picked(
      x,
      x.shape.map((d, i) => d * repeats[i]!),
      (place) => strides.reduce((sum, stride, i) => sum + stride * (place[i]! % x.shape[i]!), 0),
    );
  },
  Concat: concat,
  Slice: slice,
  Split: (n) => {
    const x = n.input(0);
    const axis = n.axis(0);
    const size = x.shape[axis]!;
    const count = n.int('num_outputs', n.node.outputs.length);
    const part = Math.ceil(size / count);
    const sizes = n.list('split', 1) ?? range(count).map((i) => Math.min(part, size - i * part));
    let at = 0;
    return sizes.map((length) => {
      at += length;
      return alongAxis(
        x,
        axis,
        range(length).map((i) => at - length + i),
      );
    });
  },
  Gather: gather,
  GatherND: gatherNd,
  GatherElements: (n) => {
    const [x, indices] = [n.input(0), n.input(1)];
    const axis = n.axis(0);
    const [strides, own, numbers] = [stridesOf(x.shape), stridesOf(indices.shape), numbersOf(indices)];
    return picked(x, indices.shape, (place) => {
      const index = numbers[own.reduce((sum, stride, i) => sum + stride * place[i]!, 0)]!;
      const at = index < 0 ? index + x.shape[axis]! : index;
      return strides.reduce((sum, stride, i) => sum + stride * (i === axis ? at : place[i]!), 0);
    });
  },
  ScatterND: scatterNd,
  Trilu: (n) => {
    const x = n.input(0);
    const k = n.inputs[1] ? numbersOf(n.input(1))[0]! : 0;
    const upper = n.int('upper', 1) === 1;
    const strides = stridesOf(x.shape);
    return picked(x, x.shape, (place) => {
      const above = place.at(-1)! - place.at(-2)! - k;
      if (upper ? above < 0 : above > 0) return -1;
      return indexOf(place, strides);
    });
  },
  NonZero: (n) => {
    const x = n.input(0);
    const numbers = numbersOf(x);
    const places: number[][] = [];
    forEachPlace(x.shape, (place, i) => {
      if (numbers[i] !== 0) places.push([...place]);
    });
    const count = places.length;
    return tensorBy('int64', [x.shape.length, count], (i) => places[i % count]![Math.floor(i / count)]!);
  },
};
