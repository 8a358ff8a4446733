/** Where images lie in the patient. */

import { firstThree } from '../scan.js';
import type { XYZ } from '../volume.js';
import type { FunctionalGroups } from './functional-groups.js';
import { NotScan } from './not-scan.js';
import { TAGS } from './tags.js';

/** How the pixels of an image lie in the patient. */
export interface Plane {
  /** Directions along a row and along a column, of length 1. */
  readonly alongRow: XYZ;
  readonly alongColumn: XYZ;
  /** Distance of pixel centres along a row and along a column, in mm. */
  readonly spacing: readonly [number, number];
  /** In mm; NaN where it is not given, as the next. */
  readonly spacingBetweenSlices: number;
  readonly sliceThickness: number;
}

export const dot = (a: XYZ, b: XYZ) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

export const normalOf = ({ alongRow: a, alongColumn: b }: Plane): XYZ => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** Directions and relative spacings within which planes are the same. */
const SAME_PLANE = 1e-3;

/** Whether pixels lie alike, wherever the images are. */
export function isParallel(a: Plane, b: Plane): boolean {
  const near = (p: XYZ, q: XYZ) => p.every((value, i) => Math.abs(value - q[i]!) <= SAME_PLANE);
  return (
    near(a.alongRow, b.alongRow) &&
    near(a.alongColumn, b.alongColumn) &&
    a.spacing.every((mm, i) => Math.abs(mm / b.spacing[i]! - 1) <= SAME_PLANE)
  );
}

/** What a single slice stands for along the normal, in mm: its spacing, or else its thickness, or else 1. */
export const depthOf = ({ spacingBetweenSlices, sliceThickness }: Plane): number =>
  [spacingBetweenSlices, sliceThickness].find((mm) => mm > 0) ?? 1;

/**
 * The plane of an image or of one of its frames, and where the centre of its first pixel is, in LPS mm.
 * @throws NotScan when the file does not give them; NotElements, NeedsMoreBytes
 */
export function placeOf(groups: FunctionalGroups): { position: XYZ; plane: Plane } {
  const position = groups(TAGS.PlanePositionSequence).decimals(TAGS.ImagePositionPatient);
  const orientation = groups(TAGS.PlaneOrientationSequence).decimals(TAGS.ImageOrientationPatient);
  const numbers = [...position, ...orientation];
  if (position.length !== 3 || orientation.length !== 6 || !numbers.every(Number.isFinite))
    throw new NotScan('an image without a position in the patient');
  const measures = groups(TAGS.PixelMeasuresSequence);
  const [betweenRows = Number.NaN, betweenColumns = Number.NaN] = measures.decimals(TAGS.PixelSpacing);
  if (!(betweenRows > 0 && betweenColumns > 0)) throw new NotScan('an image without a pixel spacing');
  return {
    position: firstThree(position),
    plane: {
      alongRow: unit(orientation.slice(0, 3)),
      alongColumn: unit(orientation.slice(3)),
      spacing: [betweenColumns, betweenRows],
      spacingBetweenSlices: Number(measures.text(TAGS.SpacingBetweenSlices) || Number.NaN),
      sliceThickness: Number(measures.text(TAGS.SliceThickness) || Number.NaN),
    },
  };
}

function unit(vector: readonly number[]): XYZ {
  const length = Math.hypot(...vector);
  if (!(length > 0.5)) throw new NotScan('an image without an orientation');
  return firstThree(vector.map((value) => value / length));
}
