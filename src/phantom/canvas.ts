import type { XYZ } from '../data/scan/volume.js';

/**
 * A scan while it is drawn. Shapes are given in the patient's frame: mm, x to the left, y to the back,
 * z to the head, 0 in the middle of the chest. The patient may lie rolled about z against the grid.
 */
export interface Canvas {
  readonly size: XYZ;
  readonly spacing: XYZ;
  /** Position of voxel (0, 0, 0) in mm in the grid's frame: the patient's, before rolling. */
  readonly origin: XYZ;
  readonly cos: number;
  readonly sin: number;
  /** Width in mm over which an edge goes from one tissue to the other: the edge of a cube as large as a voxel. */
  readonly soft: number;
  readonly hu: Int16Array;
}

/** An empty canvas around the origin of the patient's frame, displaced by `shift` mm. @param roll radians */
export function makeCanvas(size: XYZ, spacing: XYZ, shift: XYZ, roll: number): Canvas {
  const corner = (axis: 0 | 1 | 2) => shift[axis] - ((size[axis] - 1) / 2) * spacing[axis];
  return {
    size,
    spacing,
    origin: [corner(0), corner(1), corner(2)],
    cos: Math.cos(roll),
    sin: Math.sin(roll),
    soft: Math.cbrt(spacing[0] * spacing[1] * spacing[2]),
    hu: new Int16Array(size[0] * size[1] * size[2]),
  };
}

/** Where a point of the patient lies in the grid's frame, in mm. */
export function toGrid({ cos, sin }: Canvas, [x, y, z]: XYZ): XYZ {
  return [cos * x - sin * y, sin * x + cos * y, z];
}

/** The patient's coordinates, in mm, of the centre of voxel (i, j, k). */
export function toPatient({ origin, spacing, cos, sin }: Canvas, i: number, j: number, k: number): XYZ {
  const [x, y] = [origin[0] + i * spacing[0], origin[1] + j * spacing[1]];
  return [cos * x + sin * y, cos * y - sin * x, origin[2] + k * spacing[2]];
}

/** First and last voxel along each axis; empty when a first is after its last. */
export interface Box {
  readonly first: XYZ;
  readonly last: XYZ;
}

/** The voxels whose centres may lie within a box of the patient given by its centre and half edges, in mm. */
export function boxAround(canvas: Canvas, centre: XYZ, half: XYZ): Box {
  const { size, spacing, origin, cos, sin } = canvas;
  const at = toGrid(canvas, centre);
  const [c, s] = [Math.abs(cos), Math.abs(sin)];
  const reach = [c * half[0] + s * half[1], s * half[0] + c * half[1], half[2]] as const;
  const first = (a: 0 | 1 | 2) => Math.max(0, Math.ceil((at[a] - reach[a] - origin[a]) / spacing[a]));
  const last = (a: 0 | 1 | 2) =>
    Math.min(size[a] - 1, Math.floor((at[a] + reach[a] - origin[a]) / spacing[a]));
  return { first: [first(0), first(1), first(2)], last: [last(0), last(1), last(2)] };
}

/** Share of a voxel that lies inside a shape whose surface is `distance` mm away (negative inside). */
export function coverage(distance: number, soft: number): number {
  return Math.min(Math.max(0.5 - distance / soft, 0), 1);
}
