/** Tensors whose values are known, as arrays of numbers: made, moved and computed. */
import { arrayOf, type ElementType, formatShape, GraphError, sizeOf, type Tensor } from '../onnx/types.js';

/** Larger tensors are not computed at import. */
const MOST_VALUES = 2 ** 24;
/** int64 values beyond stand for "to the end", and are no exact numbers. */
const LIMIT = Number.MAX_SAFE_INTEGER;

export const isFloat = (type: ElementType): boolean => type === 'float32' || type === 'float64';
const isBig = (type: ElementType) => type === 'int64' || type === 'uint64';

/** 0 … count − 1. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** The values as numbers; those of int64 that are no exact numbers become the nearest one. */
export const numbersOf = ({ data }: Tensor): number[] =>
  Array.from(data as ArrayLike<number | bigint>, (v) =>
    typeof v === 'bigint' ? Math.max(-LIMIT, Math.min(LIMIT, Number(v))) : v,
  );

function allocate(type: ElementType, shape: readonly number[]) {
  const size = sizeOf(shape);
  if (!shape.every((d) => Number.isSafeInteger(d) && d >= 0) || size > MOST_VALUES)
    throw new GraphError(`a constant of shape ${formatShape(shape)} is too large`);
  return new (arrayOf(type) as Float32ArrayConstructor)(size);
}

function stored(value: number, type: ElementType): number | bigint {
  if (isBig(type)) return value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(Math.trunc(value));
  return type === 'bool' ? Number(value !== 0) : value;
}

/** A tensor of what `at` says of each flat index. @throws GraphError for integers that are none, as after a division by 0 */
export function tensorBy(type: ElementType, shape: readonly number[], at: (i: number) => number): Tensor {
  const data = allocate(type, shape);
  for (let i = 0; i < data.length; i++) {
    const value = at(i);
    if (!isFloat(type) && !Number.isFinite(value)) throw new GraphError(`${value} is no ${type}`);
    data[i] = stored(value, type) as number;
  }
  return { type, shape, data };
}

/** A list of numbers. */
export const vector = (type: ElementType, values: readonly number[]): Tensor =>
  tensorBy(type, [values.length], (i) => values[i]!);

/** How far apart neighbours along each axis lie. */
export const stridesOf = (shape: readonly number[]): number[] =>
  shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));

/** Calls `visit` with the position of every value, last axis fastest. */
export function forEachPlace(
  shape: readonly number[],
  visit: (place: readonly number[], i: number) => void,
): void {
  const place = shape.map(() => 0);
  const size = sizeOf(shape);
  for (let i = 0; i < size; i++) {
    visit(place, i);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place[axis]!++;
      if (place[axis]! < shape[axis]!) break;
      place[axis] = 0;
    }
  }
}

/** A tensor whose value at each place is that of x at the flat index that `from` gives; 0 for −1. */
export function picked(
  x: Tensor,
  shape: readonly number[],
  from: (place: readonly number[]) => number,
): Tensor {
  const data = allocate(x.type, shape);
  forEachPlace(shape, (place, i) => {
    const source = from(place);
    if (!(source < x.data.length)) throw new GraphError(`index ${source} is out of range`);
    if (source >= 0) data[i] = x.data[source] as number;
  });
  return { type: x.type, shape, data };
}

/** The flat index in a tensor of `shape`, broadcast, of a place in the result. */
export function broadcastIndex(shape: readonly number[], rank: number): (place: readonly number[]) => number {
  const strides = stridesOf(shape);
  const offset = rank - shape.length;
  return (place) =>
    strides.reduce((sum, stride, i) => sum + (shape[i] === 1 ? 0 : stride * place[i + offset]!), 0);
}

/** One axis at most is longer than 1: scales and biases, whatever they are broadcast over. */
export const isVector = (shape: readonly number[]): boolean => shape.filter((size) => size !== 1).length <= 1;
