/** How pixels are stored in a DICOM file, and their values as integers. */
import type { NumberArray } from '../elements.js';
import type { Syntax } from './syntax.js';

export interface PixelFormat {
  readonly columns: number;
  readonly rows: number;
  readonly frames: number;
  /** Bits per pixel in the file, of which the `bitsStored` up to bit `highBit` hold its value. */
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  readonly highBit: number;
  readonly signed: boolean;
  readonly syntax: Syntax;
  /** Offset in the file, or in the inflated data set. */
  readonly start: number;
  /** In bytes; undefined for encapsulated pixel data. */
  readonly length: number | undefined;
  /** Offset of the data set, after the file meta information. */
  readonly bodyStart: number;
  /** Size of the words to which the byte order applies, in bytes. */
  readonly wordBytes: number;
}

/** Types of pixel values. */
export type PixelType = 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32';

/** The smallest type for the values that pixels can have. */
export function pixelTypeOf({ bitsStored, signed }: PixelFormat): PixelType {
  if (bitsStored > 16) return signed ? 'int32' : 'uint32';
  if (signed) return 'int16';
  return bitsStored > 8 ? 'uint16' : 'uint8';
}

/** A type for the values of all. */
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
 * The values of stored pixels: without other bits, such as overlays, and with their sign.
 * @param words of `bitsAllocated` bits, in the byte order of this machine
 */
export function pixelValues(words: NumberArray, format: PixelFormat, type: PixelType): NumberArray {
  const { bitsStored, highBit, signed } = format;
  const Values = ARRAYS[type];
  // Shifted left until the high bit is bit 31, then right until the value starts at bit 0.
  const [left, right] = [31 - highBit, 32 - bitsStored];
  const asStored = highBit === bitsStored - 1 && bitsStored === format.bitsAllocated;
  if (asStored && words.BYTES_PER_ELEMENT === Values.BYTES_PER_ELEMENT)
    return new Values(words.buffer as ArrayBuffer, words.byteOffset, words.length);
  const values = new Values(words.length);
  if (signed) for (let i = 0; i < values.length; i++) values[i] = (words[i]! << left) >> right;
  else for (let i = 0; i < values.length; i++) values[i] = (words[i]! << left) >>> right;
  return values;
}
