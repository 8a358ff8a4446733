import { type BigIntArray, type ElementArray, elementsOf, type NumberArray } from './elements.js';
import { type Rescale, type StoredValues, voxelBytes, voxelCount } from './scan.js';
import { unreadable } from './unreadable.js';
import type { Volume, Voxels } from './volume.js';

/** What non-finite voxels become: air, in HU. */
export const FILL_HU = -1024;

/** Bytes that are converted at once: whole elements of any type. */
const SLAB_BYTES = 1 << 20;

/**
 * Makes the voxels of a scan out of its bytes as they come, piece by piece: `element · slope + intercept`, as int16
 * when every value is integral and fits, else as float32. No more of the stored bytes than a slab is kept.
 * This is also the one place that deals with values that are no numbers: NaN and ±infinity (and what overflows
 * float32) become −1024 HU and are counted; when they are more than half, the scan is refused. Numbers that are
 * beyond int16 once they are rounded stay as they are, and are counted too.
 */
export class VoxelBuilder {
  readonly #slab: Uint8Array;
  #slabFilled = 0;
  #voxels: Voxels;
  #done = 0;
  #nonFinite = 0;
  #beyondInt16 = 0;
  #rescale: Rescale;

  /** @throws UserError, naming `path`, when the voxels do not fit into memory */
  constructor(
    readonly path: string,
    readonly scan: StoredValues,
  ) {
    // The system hands out zeroed memory page by page as it is written to, so a file that ends early takes little.
    this.#voxels = allocate(path, Int16Array, voxelCount(scan.grid.size));
    this.#rescale = scan;
    this.#slab = new Uint8Array(Math.min(SLAB_BYTES, voxelBytes(scan)));
  }

  /**
   * Takes the next bytes of any number, and leaves them alone; what comes after the last voxel is passed over.
   * @param rescale of these, which begin with a whole element, and the following ones
   */
  write(bytes: Uint8Array, rescale: Rescale = this.scan): void {
    if (rescale.slope !== this.#rescale.slope || rescale.intercept !== this.#rescale.intercept) {
      if (this.#slabFilled > 0) this.#convertSlab();
      this.#rescale = rescale;
    }
    for (let from = 0; from < bytes.length && this.#done < this.#voxels.length; ) {
      const piece = bytes.subarray(from, from + this.#slab.length - this.#slabFilled);
      this.#slab.set(piece, this.#slabFilled);
      this.#slabFilled += piece.length;
      from += piece.length;
      if (this.#slabFilled === this.#slab.length) this.#convertSlab();
    }
  }

  /** @throws UserError when most voxels are not numbers; RangeError when not all bytes were written */
  finish(): Volume {
    const voxels = this.#voxels;
    if (this.#slabFilled > 0) this.#convertSlab();
    if (this.#done < voxels.length) throw new RangeError(`${this.#done} of ${voxels.length} voxels`);
    const [nonFinite, beyondInt16] = [this.#nonFinite, this.#beyondInt16];
    if (nonFinite > voxels.length / 2) {
      throw unreadable(this.path, 'most voxels are not finite numbers', {
        got: `${nonFinite} of ${voxels.length} voxels are NaN, infinite or beyond float32`,
        fix: 'export the scan from its source again',
      });
    }
    return {
      ...this.scan.grid,
      voxels: this.#voxels,
      ...(nonFinite > 0 && { nonFinite }),
      ...(beyondInt16 > 0 && { beyondInt16 }),
    };
  }

  #convertSlab(): void {
    const { elementType, littleEndian } = this.scan;
    const { slope, intercept } = this.#rescale;
    const filled = this.#slab.subarray(0, this.#slabFilled);
    this.#slabFilled = 0;
    const elements = elementsOf(filled, elementType, littleEndian);
    const start = this.#done;
    this.#done += elements.length;
    const identity = slope === 1 && intercept === 0;
    if (identity && fitsInt16(elements)) {
      this.#voxels.set(elements, start);
      return;
    }
    if (this.#voxels instanceof Int16Array && isSmall(elements))
      if (storeIntegers(elements, slope, intercept, this.#voxels.subarray(start, this.#done))) return;
    const numbers = isBigInt(elements) ? toNumbers(elements) : elements;
    const { nonFinite, beyondInt16, int16 } = survey(numbers, slope, intercept);
    this.#nonFinite += nonFinite;
    this.#beyondInt16 += beyondInt16;
    if (!int16 && this.#voxels instanceof Int16Array) this.#voxels = this.#toFloat32(this.#voxels, start);
    store(numbers, slope, intercept, this.#voxels.subarray(start, this.#done));
  }

  #toFloat32(voxels: Int16Array, done: number): Float32Array {
    const larger = allocate(this.path, Float32Array, voxels.length);
    larger.set(voxels.subarray(0, done));
    return larger;
  }
}

function allocate<T>(path: string, type: new (length: number) => T, length: number): T {
  try {
    return new type(length);
  } catch (cause) {
    throw unreadable(path, 'the scan does not fit in memory', { got: `${length} voxels`, cause });
  }
}

function fitsInt16(elements: ElementArray): elements is Int8Array | Uint8Array | Int16Array {
  return elements instanceof Int16Array || elements instanceof Int8Array || elements instanceof Uint8Array;
}

/** Integers of up to 16 bits, of which an integral multiple is exact. */
function isSmall(elements: ElementArray): elements is Int8Array | Uint8Array | Int16Array | Uint16Array {
  return fitsInt16(elements) || elements instanceof Uint16Array;
}

/** What most scans need, in one go. @returns false at the first value that is not int16 */
function storeIntegers(
  elements: Int8Array | Uint8Array | Int16Array | Uint16Array,
  slope: number,
  intercept: number,
  voxels: Int16Array,
): boolean {
  for (let i = 0; i < elements.length; i++) {
    const value = elements[i]! * slope + intercept;
    if (value !== (value << 16) >> 16) return false;
    voxels[i] = value;
  }
  return true;
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

function store(numbers: NumberArray, slope: number, intercept: number, voxels: Voxels): void {
  for (let i = 0; i < numbers.length; i++) {
    const value = Math.fround(numbers[i]! * slope + intercept);
    voxels[i] = isFiniteNumber(value) ? value : FILL_HU;
  }
}
