import { nearestOrthonormal } from '../geometry.js';
import type { Grid, Volume, XYZ } from '../volume.js';
import { type ElementType, elementBytes, elementsOf, toVoxels } from './elements.js';
import { type Block, readBlock, unreadable } from './file.js';

/** What the header of a scan file says. */
export interface ScanHeader {
  /** Name of the format, for people: `MetaImage`, `NIfTI-1`, `NIfTI-2`, `NumPy`. */
  readonly format: string;
  readonly elementType: ElementType;
  readonly grid: Grid;
  /** The header's own fields as text, in the order of the file. */
  readonly fields: Readonly<Record<string, string>>;
}

/** A scan on disk: its header, where its voxels lie and how they are to be read. Every format yields this. */
export interface StoredScan extends ScanHeader {
  readonly block: Block;
  readonly littleEndian: boolean;
  /** HU = element · slope + intercept. */
  readonly slope: number;
  readonly intercept: number;
}

/** More would not fit one typed array of float32 in every supported runtime; a large CT has a tenth of it. */
const MAX_VOXELS = 2 ** 30;

/** Reads the voxels of a scan. @throws UserError when they are cut off, broken or mostly NaN */
export async function loadVoxels(scan: StoredScan): Promise<Volume> {
  const { block, elementType, grid } = scan;
  const bytes = await readBlock(block, voxelCount(grid.size) * elementBytes(elementType));
  const elements = elementsOf(bytes, elementType, scan.littleEndian);
  const { voxels, nonFinite } = toVoxels(elements, scan.slope, scan.intercept, block.path);
  return { ...grid, voxels, ...(nonFinite > 0 && { nonFinite }) };
}

export function voxelCount([x, y, z]: XYZ): number {
  return x * y * z;
}

/**
 * A grid from numbers that a file claims: sizes and spacings must be possible, the direction becomes the
 * nearest orthonormal one.
 * @param grid its direction need not be orthonormal, but its columns have length 1
 * @throws UserError of kind `input`, naming `path`
 */
export function checkedGrid(path: string, grid: Grid): Grid {
  const { size, spacing, origin } = grid;
  if (!size.every((length) => Number.isInteger(length) && length >= 1) || voxelCount(size) > MAX_VOXELS) {
    throw unreadable(path, 'the size of the scan is impossible', {
      got: size.join('×'),
      expected: `x×y×z, each at least 1, at most ${MAX_VOXELS} voxels`,
    });
  }
  if (!spacing.every((mm) => mm > 1e-6 && mm < 1e6)) {
    throw unreadable(path, 'the voxel spacing is impossible', {
      got: `${spacing.join(', ')} mm`,
      expected: 'three lengths above 0',
    });
  }
  if (!origin.every(Number.isFinite)) {
    throw unreadable(path, 'the origin is not a position', { got: origin.join(', ') });
  }
  const direction = nearestOrthonormal(grid.direction);
  if (!direction) {
    throw unreadable(path, 'the axes of the scan do not span a space', {
      got: `direction ${grid.direction.join(' ')}`,
      expected: 'three axes at an angle to each other',
      fix: 'mend the direction matrix in the header',
    });
  }
  // No −0, which would be printed as "-0".
  return { size, spacing, origin: firstThree(origin.map((mm) => mm + 0)), direction };
}

/** Three numbers out of a longer list. */
export function firstThree(values: readonly number[]): XYZ {
  return [values[0]!, values[1]!, values[2]!];
}
