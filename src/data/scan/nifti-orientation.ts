import { determinant } from './geometry.js';
import type { Grid, XYZ } from './volume.js';

/** Three rows (x, y, z) of four: axis i of the voxels in column i, then the origin. NIfTI's world is RAS. */
export type Affine = readonly (readonly number[])[];

/** RAS affine in mm to a grid in LPS; the direction's columns have length 1 but may not be orthogonal. */
export function gridOfAffine(affine: Affine, size: XYZ): Grid {
  const lps = affine.map((row, i) => row.map((value) => (i < 2 ? -value : value)));
  const lengths = [0, 1, 2].map((axis) => Math.hypot(...lps.map((row) => row[axis]!)));
  return {
    size,
    spacing: lengths as unknown as XYZ,
    origin: lps.map((row) => row[3]!) as unknown as XYZ,
    direction: lps.flatMap((row) => lengths.map((length, axis) => row[axis]! / length)),
  };
}

/** Rows of the RAS affine of a grid; the inverse of {@link gridOfAffine}. */
export function affineOfGrid({ direction, spacing, origin }: Grid): number[][] {
  return [0, 1, 2].map((i) => {
    const sign = i < 2 ? -1 : 1;
    return [...spacing.map((mm, axis) => sign * direction[3 * i + axis]! * mm), sign * origin[i]!];
  });
}

/**
 * The quaternion of a grid's axes in RAS, as in nifti1.h: a ≥ 0 is left out, and a left-handed set of axes
 * has its third one turned round, which `qfac` −1 tells.
 */
export function quaternionOfGrid({ direction }: Grid): { bcd: XYZ; qfac: 1 | -1 } {
  const qfac = determinant(direction) < 0 ? -1 : 1;
  const r = direction.map((value, i) => (i < 6 ? -value : value) * (i % 3 === 2 ? qfac : 1));
  const [xx, xy, xz, yx, yy, yz, zx, zy, zz] = r as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  // Shepperd 1978: divide by the largest of the four components, which is at least 1/2.
  const squares = [1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz];
  const largest = squares.indexOf(Math.max(...squares));
  const products = [
    [squares[0]!, zy - yz, xz - zx, yx - xy],
    [zy - yz, squares[1]!, xy + yx, xz + zx],
    [xz - zx, xy + yx, squares[2]!, yz + zy],
    [yx - xy, xz + zx, yz + zy, squares[3]!],
  ][largest]!;
  const scale = (products[0]! < 0 ? -1 : 1) / (2 * Math.sqrt(squares[largest]!));
  return { bcd: [products[1]! * scale, products[2]! * scale, products[3]! * scale], qfac };
}
