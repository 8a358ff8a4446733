import type { Voxels } from '../volume.js';
import { unreadable } from './unreadable.js';

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
} as const;

export type ElementType = keyof typeof ELEMENT_ARRAYS;
type NumberArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;
type BigIntArray = BigInt64Array | BigUint64Array;
export type ElementArray = NumberArray | BigIntArray;

/** What non-finite voxels become: air, in HU. */
export const FILL_HU = -1024;

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
 * Sees bytes as elements, without a copy; big-endian ones are swapped in place. The machine itself is
 * little-endian, like every one that ONNX Runtime is built for.
 * @param bytes a buffer of its own (offset 0), whole elements
 */
export function elementsOf(bytes: Uint8Array, type: ElementType, littleEndian: boolean): ElementArray {
  const size = elementBytes(type);
  if (!littleEndian && size > 1) {
    for (let i = 0; i < bytes.length; i += size) bytes.subarray(i, i + size).reverse();
  }
  return new ELEMENT_ARRAYS[type](bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / size);
}

/**
 * Stored elements to HU: `element · slope + intercept`, as int16 when every value is integral and fits, else
 * as float32. This is also the one place that deals with values that are no numbers: NaN and ±infinity
 * (and what overflows float32) become −1024 HU and are counted; when they are more than half, the scan is refused.
 * Numbers that are beyond int16 once they are rounded stay as they are, and are counted too.
 * May reuse the memory of `elements`.
 * @throws UserError of kind `input`, naming `path`
 */
export function toVoxels(
  elements: ElementArray,
  slope: number,
  intercept: number,
  path: string,
): { voxels: Voxels; nonFinite: number; beyondInt16: number } {
  const identity = slope === 1 && intercept === 0;
  if (identity && elements instanceof Int16Array) return { voxels: elements, nonFinite: 0, beyondInt16: 0 };
  if (identity && (elements instanceof Int8Array || elements instanceof Uint8Array)) {
    return { voxels: new Int16Array(elements), nonFinite: 0, beyondInt16: 0 };
  }
  const numbers = isBigInt(elements) ? toNumbers(elements) : elements;
  const { nonFinite, beyondInt16, int16 } = survey(numbers, slope, intercept);
  if (nonFinite > numbers.length / 2) {
    throw unreadable(path, 'most voxels are not numbers', {
      got: `${nonFinite} of ${numbers.length} voxels are NaN, infinite or beyond float32`,
      fix: 'export the scan again from its source',
    });
  }
  const inPlace = numbers instanceof Float32Array && !int16;
  const voxels = int16
    ? new Int16Array(numbers.length)
    : inPlace
      ? numbers
      : new Float32Array(numbers.length);
  for (let i = 0; i < numbers.length; i++) {
    const value = Math.fround(numbers[i]! * slope + intercept);
    voxels[i] = isFiniteNumber(value) ? value : FILL_HU;
  }
  return { voxels, nonFinite, beyondInt16 };
}

function isBigInt(elements: ElementArray): elements is BigIntArray {
  return elements instanceof BigInt64Array || elements instanceof BigUint64Array;
}

/** A plain loop: `Float64Array.from` takes ten times as long. */
function toNumbers(elements: BigIntArray): Float64Array {
  const numbers = new Float64Array(elements.length);
  for (let i = 0; i < numbers.length; i++) numbers[i] = Number(elements[i]!);
  return numbers;
}

/** Like `Number.isFinite`, but fast in a loop over 10⁸ voxels: NaN − NaN and ∞ − ∞ are NaN. */
function isFiniteNumber(value: number): boolean {
  return value - value === 0;
}

/** Counts the values that are no float32 numbers and those beyond int16, and tells whether all others are int16. */
function survey(numbers: NumberArray, slope: number, intercept: number) {
  let nonFinite = 0;
  let beyondInt16 = 0;
  let int16 = true;
  for (let i = 0; i < numbers.length; i++) {
    const value = Math.fround(numbers[i]! * slope + intercept);
    if (!isFiniteNumber(value)) nonFinite++;
    else if (value !== (value << 16) >> 16) {
      int16 = false;
      if (value < -32768.5 || value >= 32767.5) beyondInt16++;
    }
  }
  return { nonFinite, beyondInt16, int16 };
}
