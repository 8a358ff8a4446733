/** Grids of voxels in a scan, and the values that a model sees on them. Nothing here needs Node.js. */
import { normaliser } from '../data/samples/values.js';
import { type CropGrid, cropImage, stepOf } from '../data/scan/crop.js';
import { voxelToWorld } from '../data/scan/geometry.js';
import { normaliseVolume } from '../data/scan/normalise.js';
import type { Grid, Volume, Voxels, XYZ } from '../data/scan/volume.js';
import { asInt16 } from '../int16.js';
import type { ImageModel } from './image-model.js';

/** Values on any grid in voxels of a scan with its axes along left, posterior, superior, as a model takes them. */
export type ReadGrid = (grid: CropGrid) => Int16Array | Float32Array;

/** Voxels of a spacing around the middle of a scan, as many as it takes; the scan's own along axes that have that spacing already. */
export function gridOfSpacing(
  { size, spacing }: Pick<Grid, 'size' | 'spacing'>,
  wanted: XYZ | null,
): CropGrid {
  const step = stepOf({ spacing }, wanted);
  const count = size.map((length, i) => Math.max(1, Math.round(length / step[i]!))) as unknown as XYZ;
  const first = size.map((length, i) => (length - 1 - (count[i]! - 1) * step[i]!) / 2) as unknown as XYZ;
  return { size: count, first, step };
}

/** A box of a grid. @param origin its first voxel, which may lie outside */
export const partOfGrid = ({ first, step }: CropGrid, origin: XYZ, size: XYZ): CropGrid => ({
  size,
  first: first.map((place, i) => place + origin[i]! * step[i]!) as unknown as XYZ,
  step,
});

/** Blocks of voxels of a grid as one voxel each, which lies in their middle; the last may reach beyond the grid. */
export const coarserGrid = ({ size, first, step }: CropGrid, factors: XYZ): CropGrid => ({
  size: size.map((length, i) => Math.ceil(length / factors[i]!)) as unknown as XYZ,
  first: first.map((place, i) => place + ((factors[i]! - 1) / 2) * step[i]!) as unknown as XYZ,
  step: step.map((length, i) => length * factors[i]!) as unknown as XYZ,
});

/** Where a grid in voxels of a scan lies in the patient. */
export function placeOfGrid(scan: Grid, { size, first, step }: CropGrid): Grid {
  return {
    size,
    direction: scan.direction,
    spacing: scan.spacing.map((mm, i) => mm * step[i]!) as unknown as XYZ,
    origin: voxelToWorld(scan, first),
  };
}

/** Values of a scan on a grid of its own voxels, as `cropImage` gives them but ten times as fast. */
function cutBox(
  { voxels, size }: Volume,
  { size: [w, h, d], first }: CropGrid,
  outside: number | null,
): Voxels {
  const box = voxels instanceof Int16Array ? new Int16Array(w * h * d) : new Float32Array(w * h * d);
  if (outside !== null) box.fill(outside);
  const [left, right] = [Math.max(0, -first[0]), Math.min(w, size[0] - first[0])];
  for (let k = 0; k < d; k++)
    for (let j = 0; j < h; j++) {
      const [y, z] = [first[1] + j, first[2] + k];
      const isInside = y >= 0 && y < size[1] && z >= 0 && z < size[2];
      if (outside !== null && !isInside) continue;
      const row = size[0] * (clamped(y, size[1]) + size[1] * clamped(z, size[2]));
      const to = w * (j + h * k);
      if (left < right) box.set(voxels.subarray(row + first[0] + left, row + first[0] + right), to + left);
      if (outside !== null) continue;
      box.fill(voxels[row]!, to, to + Math.min(left, w));
      box.fill(voxels[row + size[0] - 1]!, to + Math.max(right, 0), to + w);
    }
  return box;
}

const clamped = (at: number, length: number) => Math.min(Math.max(at, 0), length - 1);

/** Values of a scan on any grid. @param outside where the scan ends; null repeats its last voxels */
const valuesOn = (volume: Volume, grid: CropGrid, outside: number | null): Voxels =>
  grid.step.every((step) => step === 1) && grid.first.every(Number.isInteger)
    ? cutBox(volume, grid, outside)
    : cropImage(volume, grid, outside);

/** A function that gives values as a model takes them. Outside of a scan there is air, or its border is repeated: as in training. */
export function readerOf(
  volume: Volume,
  { normalise, channels }: Pick<ImageModel, 'normalise' | 'channels'>,
  where: string,
): ReadGrid {
  // Encoders take what tiles hold, networks of target tasks what samples do.
  if (channels === null && normalise !== 'hu') {
    const values = normaliseVolume(volume, normalise, where);
    return (grid) => asInt16(valuesOn(values, grid, null));
  }
  const valuesIn = normaliser(volume, normalise);
  return (grid) => valuesIn((scan, outside) => valuesOn(scan, grid, outside));
}
