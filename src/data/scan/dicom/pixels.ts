/** How the pixels of a DICOM file are stored, and getting them out as whole numbers. */
import type { NumberArray } from '../elements.js';
import type { Syntax } from './syntax.js';

export interface PixelFormat {
  readonly columns: number;
  readonly rows: number;
  readonly frames: number;
  /** Of a pixel in the file, and those of them that hold its value, up to bit `highBit`. */
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  readonly highBit: number;
  readonly signed: boolean;
  readonly syntax: Syntax;
  /** Byte at which they begin in the file, or in what it inflates to. */
  readonly start: number;
  /** In bytes; undefined where they are in fragments. */
  readonly length: number | undefined;
  /** Byte at which the data set begins, behind the file's own header. */
  readonly bodyStart: number;
  /** Bytes of the words that the byte order is that of. */
  readonly wordBytes: number;
}

/** Types that hold a pixel's value. */
export type PixelType = 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32';

/** The smallest type for what pixels may be. */
export function pixelTypeOf({ bitsStored, signed }: PixelFormat): PixelType {
  if (bitsStored > 16) return signed ? 'int32' : 'uint32';
  if (signed) return 'int16';
  return bitsStored > 8 ? 'uint16' : 'uint8';
}

/** A type that holds the values of all. */
export function commonType(types: readonly PixelType[]): PixelType {
  const [first, ...others] = [...new Set(types)];
  return others.length === 0 ? first! : 'int32';
}

const ARRAYS = {
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
} as const;

/**
 * The values of pixels out of the words that they lie in: without the bits of overlays and with their sign.
 * @param words of `bitsAllocated`, in the byte order of this machine
 */
export function pixelValues(words: NumberArray, format: PixelFormat, type: PixelType): NumberArray {
  const { bitsStored, highBit, signed } = format;
  const Values = ARRAYS[type];
  // Left until the highest bit is that of 32, then right until the lowest one is that of the value.
  const [left, right] = [31 - highBit, 32 - bitsStored];
  const asStored = highBit === bitsStored - 1 && bitsStored === format.bitsAllocated;
  if (asStored && words.BYTES_PER_ELEMENT === Values.BYTES_PER_ELEMENT)
    return new Values(words.buffer as ArrayBuffer, words.byteOffset, words.length);
  const values = new Values(words.length);
  if (signed) for (let i = 0; i < values.length; i++) values[i] = (words[i]! << left) >> right;
  else for (let i = 0; i < values.length; i++) values[i] = (words[i]! << left) >>> right;
  return values;
}
