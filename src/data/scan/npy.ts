import { type AtomicFile, filledFile } from '../../files.js';
import { type ElementArray, type ElementType, elementBytes, elementsOf, elementTypeOf } from './elements.js';
import { fileBlock, readBytes } from './file.js';
import { checkedGrid, type StoredScan } from './scan.js';
import { unreadable } from './unreadable.js';

/** What a `.npy` file says about its array. Format: numpy.lib.format, versions 1.0 to 3.0. */
export interface NpyHeader {
  /** Booleans are read as uint8. */
  readonly dtype: ElementType;
  /** Slowest axis first, as in NumPy. */
  readonly shape: readonly number[];
  readonly littleEndian: boolean;
  /** Whether the first axis is the fastest, not the last one. */
  readonly fortranOrder: boolean;
  /** Byte of the file at which the elements begin. */
  readonly start: number;
}

const DTYPES: Readonly<Record<string, ElementType>> = {
  b1: 'uint8',
  i1: 'int8',
  u1: 'uint8',
  i2: 'int16',
  u2: 'uint16',
  i4: 'int32',
  u4: 'uint32',
  i8: 'int64',
  u8: 'uint64',
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
};
const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
/** Bytes before the dictionary in version 1.0: magic, version, length. */
const PREAMBLE_BYTES = 10;

/** Reads what a `.npy` file says about its array. @throws UserError when it is none, or of a kind not supported */
export const readNpyHeader = async (path: string): Promise<NpyHeader> =>
  parseNpyHeader(path, await readBytes(path, 0, 1 << 16));

/**
 * The array of a `.npy` file that is in memory, which it may take; `path` says where it is from.
 * @returns elements in C order, float16 as float32  @throws UserError when it is broken
 */
export function parseNpy(
  path: string,
  file: Uint8Array,
): { data: ElementArray; dtype: ElementType; shape: readonly number[] } {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const { dtype, shape, littleEndian, fortranOrder, start } = parseNpyHeader(path, bytes);
  const size = product(shape) * elementBytes(dtype);
  if (bytes.length - start !== size)
    throw unreadable(path, 'the size of the array does not match its header', {
      got: `${bytes.length - start} bytes`,
      expected: `${size} bytes`,
    });
  const stored = bytes.subarray(start);
  const aligned = stored.byteOffset % elementBytes(dtype) === 0;
  const data = elementsOf(aligned ? stored : Uint8Array.from(stored), dtype, littleEndian);
  return { data: fortranOrder ? inCOrder(data, shape) : data, dtype, shape };
}

/** Elements that lie in Fortran order (first axis fastest) in C order (last axis fastest). */
export function inCOrder<T extends ElementArray>(elements: T, shape: readonly number[]): T {
  const result = new (elements.constructor as new (length: number) => T)(elements.length);
  const [from, to] = [elements, result] as unknown as [number[], number[]]; // or bigint: they are only copied
  const strides = shape.map((_, axis) => product(shape.slice(0, axis)));
  const [last = 1, stride = 0] = [shape.at(-1), strides.at(-1)];
  const index = shape.map(() => 0);
  for (let row = 0; row < to.length; row += last) {
    let at = index.reduce((sum, i, axis) => sum + i * strides[axis]!, 0);
    for (let i = 0; i < last; i++, at += stride) to[row + i] = from[at]!;
    for (let axis = shape.length - 2; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
  return result;
}

/** @param start the first bytes of the file, with the whole header */
function parseNpyHeader(path: string, start: Buffer): NpyHeader {
  const version = start[6] ?? 0;
  if (!start.subarray(0, 6).equals(MAGIC) || version < 1 || version > 3 || start.length < 12) {
    throw unreadable(path, 'this is not a NumPy array file', { expected: '.npy, version 1 to 3' });
  }
  const dictionaryStart = version === 1 ? PREAMBLE_BYTES : PREAMBLE_BYTES + 2;
  const length = version === 1 ? start.readUInt16LE(8) : start.readUInt32LE(8);
  const dataStart = dictionaryStart + length;
  if (dataStart > start.length) throw unreadable(path, 'the header of the array is truncated');
  return parseDictionary(path, start.toString('latin1', dictionaryStart, dataStart), dataStart);
}

/** Parses the Python dictionary, e.g. `{'descr': '<i2', 'fortran_order': False, 'shape': (3, 4), }`. */
function parseDictionary(path: string, text: string, dataStart: number): NpyHeader {
  const descr = /'descr'\s*:\s*'([<>|=])([a-z]\d+)'/.exec(text);
  const dtype = DTYPES[descr?.[2] ?? ''];
  if (!descr || !dtype) {
    throw unreadable(path, 'arrays of this type are not supported', {
      got: text.trim(),
      expected: `one of ${Object.keys(DTYPES).join(', ')}`,
      fix: 'save it as int16 or float32',
    });
  }
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  if (!order)
    throw unreadable(path, 'the header of the array does not specify an axis order', { got: text.trim() });
  const axes = /'shape'\s*:\s*\(([\d,\s]*)\)/.exec(text)?.[1];
  if (axes === undefined)
    throw unreadable(path, 'the header of the array does not specify a shape', { got: text.trim() });
  const shape = axes
    .split(',')
    .filter((axis) => axis.trim() !== '')
    .map(Number);
  if (!shape.every(Number.isSafeInteger))
    throw unreadable(path, 'the shape of the array is invalid', { got: axes });
  const littleEndian = descr[1] !== '>';
  return { dtype, shape, littleEndian, fortranOrder: order === 'True', start: dataStart };
}

function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/**
 * The bytes that precede the data of an array, padded so that the data start at a multiple of 64 and can be
 * memory-mapped. Write them, then the elements in C order, little-endian.
 * @param shape slowest axis first
 */
export function npyHeader(dtype: ElementType, shape: readonly number[]): Uint8Array {
  const code = Object.keys(DTYPES).find((key) => key !== 'b1' && DTYPES[key] === dtype)!;
  const descr = `${elementBytes(dtype) === 1 ? '|' : '<'}${code}`;
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${axes}), }`;
  const total = Math.ceil((PREAMBLE_BYTES + text.length + 1) / 64) * 64;
  const header = Buffer.alloc(total, ' ');
  MAGIC.copy(header);
  header.writeUInt16LE(1, 6); // version 1.0: bytes 1, 0
  header.writeUInt16LE(total - PREAMBLE_BYTES, 8);
  header.write(`${text.padEnd(total - PREAMBLE_BYTES - 1)}\n`, PREAMBLE_BYTES, 'latin1');
  return header;
}

/** An array, whole but for its name. @throws UserError of kind `disk`; RangeError when the shape does not fit the data */
export function npyFile(path: string, data: ElementArray, shape: readonly number[]): AtomicFile {
  if (product(shape) !== data.length)
    throw new RangeError(`shape ${shape} does not hold ${data.length} elements`);
  return filledFile(path, [npyHeader(elementTypeOf(data), shape), data]);
}

/** Writes an array atomically. @throws as {@link npyFile} */
export const writeNpy = (path: string, data: ElementArray, shape: readonly number[]): void =>
  npyFile(path, data, shape).commit();

/**
 * An array as a scan: [z, y, x] in HU, 1 mm voxels, axes along L, P, S. Further axes before and behind, as of a
 * batch and of channels, must have length 1.
 */
export async function openNpy(path: string): Promise<StoredScan> {
  const { dtype, shape, littleEndian, fortranOrder, start } = await readNpyHeader(path);
  const [z, y, x, ...others] = threeAxes(shape);
  if (x === undefined || others.length > 0) {
    throw unreadable(path, 'the array is not a scan', {
      got: `shape (${shape.join(', ')})`,
      expected: 'three axes: z, y, x; extra leading or trailing axes of length 1',
    });
  }
  const grid = checkedGrid(path, {
    size: [x, y!, z!],
    spacing: [1, 1, 1],
    origin: [0, 0, 0],
    direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  });
  const fields = {
    dtype,
    shape: `(${shape.join(', ')})`,
    byteOrder: littleEndian ? 'little' : 'big',
    order: fortranOrder ? 'Fortran' : 'C',
  };
  return {
    ...{ format: 'NumPy', elementType: dtype, grid, fields, littleEndian, slope: 1, intercept: 0 },
    ...{ files: [path], blocks: [fileBlock({ path, start })], ...(fortranOrder && { fortranOrder }) },
  };
}

/** A shape without the axes of length 1 behind, then before, that are more than three. */
function threeAxes(shape: readonly number[]): readonly number[] {
  if (shape.length > 3 && shape.at(-1) === 1) return threeAxes(shape.slice(0, -1));
  return shape.length > 3 && shape[0] === 1 ? threeAxes(shape.slice(1)) : shape;
}
