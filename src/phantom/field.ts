import type { XYZ } from '../data/scan/volume.js';
import type { RandomStream } from '../random.js';
import { type Canvas, toPatient } from './canvas.js';

/** A smooth quantity on a coarse lattice that covers a canvas, so that its cost does not grow with the scan. */
export interface Field {
  readonly size: XYZ;
  /** Lattice cells per voxel along each axis. */
  readonly step: XYZ;
  readonly values: Float32Array;
}

/** @param cell edge of a lattice cell in mm @param valueAt value at a voxel position, which lies between voxels */
function makeField(canvas: Canvas, cell: XYZ, valueAt: (i: number, j: number, k: number) => number): Field {
  // No finer than the voxels.
  const cells = (axis: 0 | 1 | 2) => {
    const voxels = canvas.size[axis] - 1;
    return Math.max(1, Math.min(voxels, Math.ceil((voxels * canvas.spacing[axis]) / cell[axis])));
  };
  const step = (axis: 0 | 1 | 2) => cells(axis) / Math.max(1, canvas.size[axis] - 1);
  const size: XYZ = [cells(0) + 1, cells(1) + 1, cells(2) + 1];
  const steps: XYZ = [step(0), step(1), step(2)];
  const values = new Float32Array(size[0] * size[1] * size[2]);
  for (let k = 0, at = 0; k < size[2]; k++) {
    for (let j = 0; j < size[1]; j++) {
      for (let i = 0; i < size[0]; i++) values[at++] = valueAt(i / steps[0], j / steps[1], k / steps[2]);
    }
  }
  return { size, step: steps, values };
}

/** Samples a function of the patient's coordinates in mm. */
export function sampledField(
  canvas: Canvas,
  cell: XYZ,
  f: (x: number, y: number, z: number) => number,
): Field {
  return makeField(canvas, cell, (i, j, k) => f(...toPatient(canvas, i, j, k)));
}

/** Value noise: independent standard normal numbers at the lattice points. @param cell grain in mm */
export function noiseField(canvas: Canvas, cell: XYZ, random: RandomStream): Field {
  return makeField(canvas, cell, () => random.normal());
}

/** Reads a field along rows of voxels by trilinear interpolation: `seek` a row, then its `values` are filled. */
export class RowReader {
  readonly values: Float32Array;
  readonly #field: Field;
  readonly #plane: Float32Array;
  readonly #line: Float32Array;
  #k = -1;

  /** @param width voxels in a row */
  constructor(field: Field, width: number) {
    this.#field = field;
    this.values = new Float32Array(width);
    this.#plane = new Float32Array(field.size[0] * field.size[1]);
    this.#line = new Float32Array(field.size[0]);
  }

  seek(j: number, k: number): Float32Array {
    const { size, step, values } = this.#field;
    if (k !== this.#k) mix(values, size[0] * size[1], k * step[2], size[2], this.#plane);
    this.#k = k;
    mix(this.#plane, size[0], j * step[1], size[1], this.#line);
    const [line, out, last] = [this.#line, this.values, size[0] - 2];
    for (let i = 0; i < out.length; i++) {
      const at = i * step[0];
      const cell = Math.min(Math.floor(at), last);
      out[i] = line[cell]! + (at - cell) * (line[cell + 1]! - line[cell]!);
    }
    return out;
  }
}

/** Interpolates between the two of `count` blocks of `length` numbers that are nearest to block position `at`. */
function mix(values: Float32Array, length: number, at: number, count: number, out: Float32Array): void {
  const block = Math.min(Math.floor(at), count - 2);
  const share = at - block;
  const [low, high] = [block * length, (block + 1) * length];
  for (let i = 0; i < length; i++) {
    out[i] = values[low + i]! + share * (values[high + i]! - values[low + i]!);
  }
}
