import type { Voxels, XYZ } from '../data/scan/volume.js';
import type { GreyImage, Slices } from './data.js';

/** Voxel values shown as black and as white. */
export interface Window {
  readonly low: number;
  readonly high: number;
}

/**
 * The middle axial, coronal and sagittal slices of an LPS volume (x to the left, y to the back, z to the
 * head), as radiologists look at them: the head or the chest up, the patient's left, or back, on the right.
 * @param values x fastest, then y, then z
 * @param size voxels along x, y, z
 */
export function middleSlices(values: Voxels, size: XYZ, window: Window): Slices {
  const [nx, ny, nz] = size;
  const [x, y, z] = [nx >> 1, ny >> 1, nz >> 1];
  const scale = 255 / (window.high - window.low);
  const slice = (
    width: number,
    height: number,
    indexOf: (column: number, row: number) => number,
  ): GreyImage => {
    // Uint8ClampedArray rounds and clamps, and makes NaN black.
    const pixels = new Uint8ClampedArray(width * height);
    for (let i = 0; i < pixels.length; i++) {
      const value = values[indexOf(i % width, Math.floor(i / width))]!;
      pixels[i] = (value - window.low) * scale;
    }
    return { width, height, pixels: new Uint8Array(pixels.buffer) };
  };
  const index = (i: number, j: number, k: number) => (k * ny + j) * nx + i;
  return [
    slice(nx, ny, (column, row) => index(column, row, z)),
    slice(nx, nz, (column, row) => index(column, y, nz - 1 - row)),
    slice(ny, nz, (column, row) => index(x, column, nz - 1 - row)),
  ];
}
