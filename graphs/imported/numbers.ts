/** Tensors whose values are known, as arrays of numbers: made, moved and computed. */
import { arrayOf, type ElementType, formatShape, GraphError, sizeOf, type Tensor } from '../onnx/types.js';

/** Larger tensors are not computed at import. */
const MOST_VALUES = 2 ** 24;
/** int64 values beyond stand for "to the end", and are no exact numbers. */
const LIMIT = Number.MAX_SAFE_INTEGER;

export const isFloat = (type: ElementType): boolean => type === 'float32' || type === 'float64';
const isBig = (type: ElementType) => type === 'int64' || type === 'uint64';

/** A list of numbers that is only read. */
export type Numbers = Readonly<Float64Array> | Readonly<Float32Array>;

/** The values as numbers; those of int64 that are no exact numbers become the nearest one. */
export const numbersOf = ({ data }: Tensor): Numbers =>
  data instanceof BigInt64Array || data instanceof BigUint64Array
    ? Float64Array.from(data as BigInt64Array, (v) => Math.max(-LIMIT, Math.min(LIMIT, Number(v))))
    : (data as Float32Array);

/** Room for the values of a tensor. @throws GraphError for more than is computed at import */
export function allocate(type: ElementType, shape: readonly number[]) {
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

/** The flat index of a place, by strides. */
export function indexOf(place: readonly number[], strides: readonly number[]): number {
  let index = 0;
  for (let i = 0; i < strides.length; i++) index += strides[i]! * place[i]!;
  return index;
}

/** How far apart neighbours along each axis of a result lie in a tensor of `shape` that is broadcast to it. */
export const broadcastStrides = (shape: readonly number[], rank: number): number[] => [
  ...Array<number>(rank - shape.length).fill(0),
  ...stridesOf(shape).map((stride, i) => (shape[i] === 1 ? 0 : stride)),
];

/** Reads the value of a tensor that is broadcast to `shape`, by the flat index there. */
export function broadcastReader(tensor: Tensor, shape: readonly number[]): (i: number) => number {
  const numbers = numbersOf(tensor);
  if (numbers.length === sizeOf(shape)) return (i) => numbers[i]!;
  if (numbers.length === 1) {
    const only = numbers[0]!;
    return () => only;
  }
  const strides = broadcastStrides(tensor.shape, shape.length);
  const indices = new Uint32Array(sizeOf(shape));
  forEachPlace(shape, (place, i) => {
    indices[i] = indexOf(place, strides);
  });
  return (i) => numbers[indices[i]!]!;
}

/** One axis at most is longer than 1: scales and biases, whatever they are broadcast over. */
export const isVector = (shape: readonly number[]): boolean => shape.filter((size) => size !== 1).length <= 1;
