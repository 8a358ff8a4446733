import { type ElementType, elementBytes } from './elements.js';
import { nearestOrthonormal } from './geometry.js';
import { unreadable } from './unreadable.js';
import type { Grid, XYZ } from './volume.js';

/** What the header of a scan file says. */
export interface ScanHeader {
  /** Name of the format, for people: `MetaImage`, `NIfTI-1`, `NIfTI-2`, `NumPy`. */
  readonly format: string;
  readonly elementType: ElementType;
  readonly grid: Grid;
  /** The header's own fields as text, in the order of the file. */
  readonly fields: Readonly<Record<string, string>>;
}

/** A header that says how voxels are to be read. */
export interface StoredValues extends ScanHeader {
  readonly littleEndian: boolean;
  /** HU = element · slope + intercept. */
  readonly slope: number;
  readonly intercept: number;
}

/** Where voxels lie in a file. */
export interface Block {
  readonly path: string;
  /** Byte of the file at which the block, or its compressed stream, begins. */
  readonly start: number;
  /** Set when the stream is zlib or gzip: how many inflated bytes come before the block. */
  readonly inflatedSkip?: number;
}

/** A scan on disk, in one or many files: its header, and where its voxels lie. Every format yields this. */
export interface StoredScan extends StoredValues {
  /** All files that the scan is read from, the one that it goes by first. */
  readonly files: readonly string[];
  /** Its voxels, one block behind the other along z; each has as many. */
  readonly blocks: readonly Block[];
  /** Set when z is the fastest axis of the stored voxels and x the slowest. */
  readonly fortranOrder?: true;
}

/** More would not fit one typed array of float32 in every supported runtime; a large CT has a tenth of it. */
const MAX_VOXELS = 2 ** 30;

/** Bytes of a scan's voxels, as its file holds them. */
export const voxelBytes = ({ grid, elementType }: Pick<ScanHeader, 'grid' | 'elementType'>): number =>
  voxelCount(grid.size) * elementBytes(elementType);

export function voxelCount([x, y, z]: XYZ): number {
  return x * y * z;
}

const isPossibleSpacing = (mm: number) => mm > 1e-6 && mm < 1e6;

/** Whether spacing, origin and direction are such that {@link checkedGrid} takes them. */
export const isUsable = ({ spacing, origin, direction }: Grid): boolean =>
  spacing.every(isPossibleSpacing) &&
  origin.every(Number.isFinite) &&
  nearestOrthonormal(direction) !== undefined;

/**
 * A grid from numbers that a file claims: sizes and spacings must be possible, the direction becomes the
 * nearest orthonormal one.
 * @param grid its direction need not be orthonormal, but its columns have length 1
 * @throws UserError of kind `input`, naming `path`
 */
export function checkedGrid(path: string, grid: Grid): Grid {
  const { size, spacing, origin } = grid;
  if (!size.every((length) => Number.isInteger(length) && length >= 1) || voxelCount(size) > MAX_VOXELS) {
    throw unreadable(path, 'the size of the scan is invalid', {
      got: size.join('×'),
      expected: `x×y×z, each at least 1, at most ${MAX_VOXELS} voxels`,
    });
  }
  if (!spacing.every(isPossibleSpacing)) {
    throw unreadable(path, 'the voxel spacing is invalid', {
      got: `${spacing.join(', ')} mm`,
      expected: 'three positive lengths',
    });
  }
  if (!origin.every(Number.isFinite)) {
    throw unreadable(path, 'the origin is not a valid position', { got: origin.join(', ') });
  }
  const direction = nearestOrthonormal(grid.direction);
  if (!direction) {
    throw unreadable(path, 'the axes of the scan are linearly dependent', {
      got: `direction ${grid.direction.join(' ')}`,
      expected: 'three linearly independent axes',
      fix: 'correct the direction matrix in the header',
    });
  }
  // No −0, which would be printed as "-0".
  return { size, spacing, origin: firstThree(origin.map((mm) => mm + 0)), direction };
}

/** Three numbers out of a longer list. */
export function firstThree(values: readonly number[]): XYZ {
  return [values[0]!, values[1]!, values[2]!];
}
