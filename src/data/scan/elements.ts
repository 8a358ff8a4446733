import { halfToNumber } from '../../../graphs/onnx/float16.js';

/** The numeric types in which scan files store voxels. */
const ELEMENT_ARRAYS = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float32: Float32Array,
  float64: Float64Array,
  /** As bits, after the type that has this array for its values. */
  float16: Uint16Array,
} as const;

export type ElementType = keyof typeof ELEMENT_ARRAYS;
export type NumberArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;
export type BigIntArray = BigInt64Array | BigUint64Array;
export type ElementArray = NumberArray | BigIntArray;

/** Elements that are all 0. */
export const elementArray = (type: ElementType, length: number): ElementArray =>
  new ELEMENT_ARRAYS[type](length);

/** Bytes of one element. */
export function elementBytes(type: ElementType): number {
  return ELEMENT_ARRAYS[type].BYTES_PER_ELEMENT;
}

/** The name of a typed array's element type. */
export function elementTypeOf(array: ElementArray): ElementType {
  const names = Object.keys(ELEMENT_ARRAYS) as ElementType[];
  return names.find((name) => array instanceof ELEMENT_ARRAYS[name])!;
}

/**
 * Sees bytes as elements, without a copy, but for float16, which become float32; big-endian ones are swapped in
 * place. The machine itself is little-endian, like every one that ONNX Runtime is built for.
 * @param bytes whole elements, at an offset that is a multiple of their size
 */
export function elementsOf(bytes: Uint8Array, type: ElementType, littleEndian: boolean): ElementArray {
  const size = elementBytes(type);
  if (!littleEndian && size > 1) {
    for (let i = 0; i < bytes.length; i += size) bytes.subarray(i, i + size).reverse();
  }
  const elements = new ELEMENT_ARRAYS[type](
    bytes.buffer as ArrayBuffer,
    bytes.byteOffset,
    bytes.length / size,
  );
  return type === 'float16' ? Float32Array.from(elements as Uint16Array, halfToNumber) : elements;
}
