/**
 * What nodes give whose inputs are all known: shapes, axes, places, masks and scales that exporters compute step by step from
 * sizes which are fixed at import.
 */
import { broadcast, normalAxis } from '../onnx/operator.js';
import {
  type Attribute,
  type ElementType,
  GraphError,
  type Node,
  sizeOf,
  type Tensor,
  TYPE_CODES,
} from '../onnx/types.js';
import {
  allocate,
  broadcastReader,
  broadcastStrides,
  forEachPlace,
  indexOf,
  isFloat,
  numbersOf,
  picked,
  range,
  stridesOf,
  tensorBy,
  vector,
} from './numbers.js';

const TYPES = new Map(Object.entries(TYPE_CODES).map(([name, code]) => [code, name as ElementType]));

/** A node whose inputs are known. */
class KnownNode {
  constructor(
    readonly node: Node,
    /** `null` for one that is left out. */
    readonly inputs: readonly (Tensor | null)[],
  ) {}

  input(i: number): Tensor {
    const tensor = this.inputs[i];
    if (tensor) return tensor;
    throw new GraphError(`input ${i} is missing`);
  }

  get<K extends Attribute['kind']>(name: string, kind: K) {
    const attribute = this.node.attributes[name];
    if (!attribute) return undefined;
    if (attribute.kind !== kind)
      throw new GraphError(`attribute "${name}" is of kind ${attribute.kind}, not ${kind}`);
    return attribute.value as Extract<Attribute, { kind: K }>['value'];
  }

  int(name: string, fallback: number): number {
    return this.get(name, 'int') ?? fallback;
  }

  /** What is an attribute in older versions, and an input in newer ones. */
  list(name: string, i: number): readonly number[] | undefined {
    const input = this.inputs[i];
    return this.get(name, 'ints') ?? (input ? [...numbersOf(input)] : undefined);
  }

  axis(fallback: number): number {
    return normalAxis(this.int('axis', fallback), this.input(0).shape.length);
  }
}

type Evaluation = (n: KnownNode) => Tensor | readonly Tensor[];

const broadcastShape = (tensors: readonly Tensor[]): number[] =>
  tensors.map((t) => t.shape).reduce((a, b) => broadcast(a, b) as number[]) as number[];

const unary =
  (f: (x: number) => number, result?: ElementType): Evaluation =>
  (n) => {
    const x = n.input(0);
    const numbers = numbersOf(x);
    return tensorBy(result ?? x.type, x.shape, (i) => f(numbers[i]!));
  };

const combined = (
  a: Tensor,
  b: Tensor,
  f: (a: number, b: number, type: ElementType) => number,
  result = a.type,
): Tensor => {
  const shape = broadcastShape([a, b]);
  const [left, right] = [broadcastReader(a, shape), broadcastReader(b, shape)];
  return tensorBy(result, shape, (i) => f(left(i), right(i), a.type));
};
const binary =
  (f: (a: number, b: number, type: ElementType) => number, result?: ElementType): Evaluation =>
  (n) =>
    combined(n.input(0), n.input(1), f, result);
/** Any number of inputs, two by two. */
const variadic =
  (f: (a: number, b: number) => number): Evaluation =>
  (n) =>
    n.inputs.map((_, i) => n.input(i)).reduce((a, b) => combined(a, b, (x, y) => f(x, y)));

function where(n: KnownNode): Tensor {
  const tensors = [n.input(0), n.input(1), n.input(2)] as const;
  const shape = broadcastShape(tensors);
  const [condition, yes, no] = tensors.map((t) => broadcastReader(t, shape)) as [Reader, Reader, Reader];
  return tensorBy(tensors[1].type, shape, (i) => (condition(i) !== 0 ? yes(i) : no(i)));
}
type Reader = (i: number) => number;

const test = (f: (a: number, b: number) => boolean) => binary((a, b) => Number(f(a, b)), 'bool');

/** Halves go to the even neighbour. */
function round(x: number): number {
  const nearest = Math.round(x);
  return nearest - x === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}
/** The remainder with the sign of b. */
function floorMod(a: number, b: number): number {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

/** Of an axis, with another size and places in x. */
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
    const size = x.shape[axis]!;
    const step = steps[i]!;
    if (step === 0) throw new GraphError('a slice has the step 0');
    const clamp = (v: number, low: number, high: number) =>
      Math.min(Math.max(v < 0 ? v + size : v, low), high);
    const start = step > 0 ? clamp(starts[i]!, 0, size) : clamp(starts[i]!, 0, size - 1);
    const end = step > 0 ? clamp(ends[i]!, 0, size) : clamp(ends[i]!, -1, size - 1);
    const count = Math.max(0, Math.ceil((end - start) / step));
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

const reduction =
  (
    start: number,
    f: (sum: number, x: number) => number,
    end = (sum: number, _count: number) => sum,
  ): Evaluation =>
  (n) => {
    const x = n.input(0);
    const given = n.list('axes', 1) ?? [];
    if (given.length === 0 && n.int('noop_with_empty_axes', 0) === 1) return x;
    const axes = (given.length > 0 ? given : range(x.shape.length)).map((a) => normalAxis(a, x.shape.length));
    const kept = x.shape.map((d, i) => (axes.includes(i) ? 1 : d));
    const strides = broadcastStrides(kept, kept.length);
    const numbers = numbersOf(x);
    const sums = new Float64Array(sizeOf(kept)).fill(start);
    forEachPlace(x.shape, (place, i) => {
      const index = indexOf(place, strides);
      sums[index] = f(sums[index]!, numbers[i]!);
    });
    const shape = n.int('keepdims', 1) ? kept : x.shape.filter((_, i) => !axes.includes(i));
    return tensorBy(x.type, shape, (i) => end(sums[i]!, numbers.length / sums.length));
  };

function constant(n: KnownNode): Tensor {
  const scalar = (type: ElementType, value: number) => tensorBy(type, [], () => value);
  const [name] = Object.keys(n.node.attributes);
  switch (name) {
    case 'value':
      return n.get('value', 'tensor')!;
    case 'value_int':
      return scalar('int64', n.get('value_int', 'int')!);
    case 'value_float':
      return scalar('float32', n.get('value_float', 'float')!);
    case 'value_ints':
      return vector('int64', n.get('value_ints', 'ints')!);
    case 'value_floats':
      return vector('float32', n.get('value_floats', 'floats')!);
    default:
      throw new GraphError(`a constant with the attribute "${name}" is unsupported`);
  }
}

const cast = (x: Tensor, type: ElementType): Tensor => {
  if (type === x.type) return x;
  const numbers = numbersOf(x);
  return tensorBy(type, x.shape, (i) =>
    isFloat(type) || type === 'bool' ? numbers[i]! : Math.trunc(numbers[i]!),
  );
};

/** By operator. What is not here stays in the graph. */
const evaluations: Readonly<Record<string, Evaluation>> = {
  Constant: constant,
  ConstantOfShape: (n) => {
    const value = n.get('value', 'tensor');
    const number = value ? numbersOf(value)[0]! : 0;
    return tensorBy(value?.type ?? 'float32', [...numbersOf(n.input(0))], () => number);
  },
  Identity: (n) => n.input(0),
  Cast: (n) => {
    const type = TYPES.get(n.int('to', 0));
    if (!type) throw new GraphError(`element type ${n.int('to', 0)} is unsupported`);
    return cast(n.input(0), type);
  },
  Range: (n) => {
    const [start, limit, step] = [0, 1, 2].map((i) => numbersOf(n.input(i))[0]!) as [number, number, number];
    const count = Math.max(0, Math.ceil((limit - start) / step));
    return tensorBy(n.input(0).type, [count], (i) => start + i * step);
  },
  EyeLike: (n) => {
    const { type, shape } = n.input(0);
    const k = n.int('k', 0);
    const columns = shape[1]!;
    const of = TYPES.get(n.int('dtype', TYPE_CODES[type]))!;
    return tensorBy(of, shape, (i) => Number((i % columns) - Math.floor(i / columns) === k));
  },

  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary((a, b, type) => (isFloat(type) ? a / b : Math.trunc(a / b))),
  Mod: (n) => binary(n.int('fmod', 0) ? (a, b) => a % b : floorMod)(n),
  Pow: binary((a, b) => a ** b),
  Max: variadic(Math.max),
  Min: variadic(Math.min),
  Sum: variadic((a, b) => a + b),
  Equal: test((a, b) => a === b),
  Less: test((a, b) => a < b),
  LessOrEqual: test((a, b) => a <= b),
  Greater: test((a, b) => a > b),
  GreaterOrEqual: test((a, b) => a >= b),
  And: test((a, b) => a !== 0 && b !== 0),
  Or: test((a, b) => a !== 0 || b !== 0),
  Xor: test((a, b) => (a !== 0) !== (b !== 0)),
  Not: unary((x) => Number(x === 0)),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Sign: unary(Math.sign),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Round: unary(round),
  Sqrt: unary(Math.sqrt),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Tanh: unary(Math.tanh),
  Reciprocal: unary((x) => 1 / x),
  IsNaN: unary((x) => Number(Number.isNaN(x)), 'bool'),
  Where: where,
  Clip: (n) => {
    const limit = (name: string, i: number, fallback: number) =>
      n.get(name, 'float') ?? (n.inputs[i] ? numbersOf(n.input(i))[0]! : fallback);
    const [low, high] = [limit('min', 1, -Infinity), limit('max', 2, Infinity)];
    const numbers = numbersOf(n.input(0));
    return tensorBy(n.input(0).type, n.input(0).shape, (i) => Math.min(Math.max(numbers[i]!, low), high));
  },

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
  CumSum: (n) => {
    const x = n.input(0);
    const axis = normalAxis(numbersOf(n.input(1))[0]!, x.shape.length);
    if (n.int('exclusive', 0) || n.int('reverse', 0)) throw new GraphError('only plain sums are supported');
    const sums = Float64Array.from(numbersOf(x));
    const stride = stridesOf(x.shape)[axis]!;
    forEachPlace(x.shape, (place, i) => {
      if (place[axis]! > 0) sums[i]! += sums[i - stride]!;
    });
    return tensorBy(x.type, x.shape, (i) => sums[i]!);
  },
  ReduceSum: reduction(0, (sum, x) => sum + x),
  ReduceProd: reduction(1, (product, x) => product * x),
  ReduceMax: reduction(-Infinity, Math.max),
  ReduceMin: reduction(Infinity, Math.min),
  ReduceMean: reduction(
    0,
    (sum, x) => sum + x,
    (sum, count) => sum / count,
  ),
};

/** Whether there are inputs with which a node is evaluated. */
export const isEvaluated = ({ domain, operator }: Node): boolean =>
  operator === 'Shape' || operator === 'Size' || (domain === '' && operator in evaluations);

/**
 * The outputs of a node whose inputs are known; `null` for an operator, or a use of it, that is not evaluated.
 * @param inputs `null` for one that is left out
 */
export function evaluate(node: Node, inputs: readonly (Tensor | null)[]): readonly Tensor[] | null {
  const evaluation = node.domain === '' ? evaluations[node.operator] : undefined;
  if (!evaluation) return null;
  try {
    const result = evaluation(new KnownNode(node, inputs));
    return Array.isArray(result) ? result : [result as Tensor];
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    return null;
  }
}
