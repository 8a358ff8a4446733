/** Arithmetic, comparisons, sums, and what makes constants. */
import { broadcast, normalAxis } from '../onnx/operator.js';
import { range } from '../onnx/range.js';
import { type ElementType, GraphError, sizeOf, type Tensor, TYPE_CODES } from '../onnx/types.js';
import type { Evaluation, Evaluations, KnownNode } from './known-node.js';
import {
  broadcastReader,
  broadcastStrides,
  forEachPlace,
  indexOf,
  isFloat,
  numbersOf,
  stridesOf,
  tensorBy,
  vector,
} from './numbers.js';

const TYPES = new Map(Object.entries(TYPE_CODES).map(([name, code]) => [code, name as ElementType]));

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

export const valueEvaluations: Evaluations = {
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
