import { nearestOrthonormal } from '../geometry.js';
import type { Grid, Volume, XYZ } from '../volume.js';
import { type ElementType, elementBytes, elementsOf, toVoxels } from './elements.js';
import { unreadable } from './unreadable.js';

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

/** Where the voxels of a scan lie in a file. */
export interface Block {
  readonly path: string;
  /** Byte of the file at which the block, or its compressed stream, begins. */
  readonly start: number;
  /** Set when the stream is zlib or gzip: how many inflated bytes come before the block. */
  readonly inflatedSkip?: number;
}

/** A scan on disk: its header, and where its voxels lie. Every format yields this. */
export interface StoredScan extends StoredValues {
  readonly block: Block;
}

/** More would not fit one typed array of float32 in every supported runtime; a large CT has a tenth of it. */
const MAX_VOXELS = 2 ** 30;

/** Bytes of a scan's voxels, as its file holds them. */
export const voxelBytes = ({ grid, elementType }: Pick<ScanHeader, 'grid' | 'elementType'>): number =>
  voxelCount(grid.size) * elementBytes(elementType);

/**
 * A scan out of the bytes of its voxels, whose memory it may take.
 * @param bytes memory of its own (offset 0)
 * @throws UserError, naming `path`, when most voxels are NaN
 */
export function decodeVoxels(path: string, scan: StoredValues, bytes: Uint8Array): Volume {
  const elements = elementsOf(bytes, scan.elementType, scan.littleEndian);
  const { voxels, nonFinite, beyondInt16 } = toVoxels(elements, scan.slope, scan.intercept, path);
  return {
    ...scan.grid,
    voxels,
    ...(nonFinite > 0 && { nonFinite }),
    ...(beyondInt16 > 0 && { beyondInt16 }),
  };
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
