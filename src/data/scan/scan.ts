import { type ElementType, elementBytes } from './elements.js';
import { nearestOrthonormal } from './geometry.js';
import { unreadable } from './unreadable.js';
import type { Grid, Volume, XYZ } from './volume.js';

/** What the header of a scan file says. */
export interface ScanHeader {
  /** Name of the format, for people: `MetaImage`, `NIfTI-1`, `NIfTI-2`, `NRRD`, `NumPy`, `DICOM`. */
  readonly format: string;
  readonly elementType: ElementType;
  readonly grid: Grid;
  /** The header's own fields as text, in the order of the file. */
  readonly fields: Readonly<Record<string, string>>;
}

/** HU = element · slope + intercept. */
export interface Rescale {
  readonly slope: number;
  readonly intercept: number;
}

/** A header that says how voxels are to be read. */
export interface StoredValues extends ScanHeader, Rescale {
  readonly littleEndian: boolean;
}

/** Voxels that lie in one file, and how to get them out of it. */
export interface Block {
  /** The file, for messages. */
  readonly path: string;
  /** Of its values, where they have one of their own. */
  readonly rescale?: Rescale;
  /** Bytes that a compressed stream has before the voxels, which are inflated with them. */
  readonly skippedBytes?: number;
  /** @throws UserError when the file cannot hold as many bytes of voxels, whatever its header says: before any of them is read */
  check(bytes: number): Promise<void>;
  /** As many bytes of voxels, piece by piece. @throws UserError when the file is too short or broken */
  read(bytes: number): AsyncIterable<Uint8Array>;
}

export interface Resampled {
  /** What is done and why, for people. */
  readonly what: string;
  /** The grid of the result. */
  readonly grid: Grid;
  apply(stored: Volume): Volume;
}

/** A scan on disk, in one or many files: its header, and where its voxels lie. Every format yields this. */
export interface StoredScan extends StoredValues {
  /** All files that the scan is read from, the one that it goes by first. */
  readonly files: readonly string[];
  /** Its voxels, one block behind the other along z; each has as many. */
  readonly blocks: readonly Block[];
  /** Ends what reading blocks has started. */
  close?(): void;
  /** Set when z is the fastest axis of the stored voxels and x the slowest. */
  readonly fortranOrder?: true;
  /** Set when the stored slices are at uneven distances or of a tilted gantry, and are brought onto a grid. */
  readonly resampled?: Resampled;
}

/** More would not fit one typed array of float32 in every supported runtime; a large CT has a tenth of it. */
export const MAX_VOXELS = 2 ** 30;

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

/** Directions are often written with few digits. */
const ORTHONORMAL_TOLERANCE = 5e-3;

/**
 * @param axes the directions of the voxels' axes, of length 1
 * @param field of the header that they are from
 * @throws UserError when axes are scaled or sheared: other programs keep that, a grid cannot
 */
export function checkOrthonormal(path: string, field: string, axes: readonly XYZ[]): void {
  const dot = (a: XYZ, b: XYZ) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const off = axes.flatMap((a, i) =>
    axes.slice(i).map((b, j) => (j === 0 ? Math.sqrt(dot(a, a)) - 1 : dot(a, b))),
  );
  if (off.every((value) => Math.abs(value) <= ORTHONORMAL_TOLERANCE)) return;
  throw unreadable(path, `${field} scales or shears the scan`, {
    got: axes.map((axis) => axis.join(' ')).join(', '),
    expected: 'three orthogonal axes of length 1',
    fix: 'put the scale into the voxel spacing, or resample the scan onto a rectangular grid',
  });
}

/** Three numbers out of a longer list. */
export function firstThree(values: readonly number[]): XYZ {
  return [values[0]!, values[1]!, values[2]!];
}
