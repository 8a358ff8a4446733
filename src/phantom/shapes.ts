import type { XYZ } from '../data/scan/volume.js';
import { type Box, boxAround, type Canvas, coverage } from './canvas.js';

/** Position and radius in mm. */
export type TubePoint = readonly [x: number, y: number, z: number, radius: number];

/** A tapering tube along a polyline. */
export interface Tube {
  readonly points: readonly TubePoint[];
  /** How many times wider than its radius the cross-section is along x, y, z; default 1. */
  readonly stretch?: XYZ;
}

export interface Ellipsoid {
  readonly centre: XYZ;
  readonly radii: XYZ;
  /** Directions of the axes as the rows of an orthonormal 3×3 matrix; default along x, y, z. */
  readonly axes?: readonly number[];
}

export type Shape = Tube | Ellipsoid;

const ROUND: XYZ = [1, 1, 1];
const UPRIGHT: readonly number[] = [1, 0, 0, 0, 1, 0, 0, 0, 1];

/** Rows of the rotation that takes the x-axis to `(cos tilt cos turn, cos tilt sin turn, sin tilt)`. Radians. */
export function turned(turn: number, tilt = 0): readonly number[] {
  const [c, s, u, v] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
  return [u * c, u * s, v, -s, c, 0, -v * c, -v * s, u];
}

/** How a shape replaces what is there. */
export interface Paint {
  readonly hu: number;
  /** Added to every radius, in mm; negative paints a core. */
  readonly grow?: number;
  /** Largest share of the new tissue; default 1. */
  readonly opacity?: number;
  /**
   * HU of what is around. With it a voxel becomes at least as dense as the shape over this background, so
   * that pieces of a branching tree may overlap without adding up.
   */
  readonly over?: number;
}

/** Draws a shape with soft edges. */
export function paint(canvas: Canvas, shape: Shape, style: Paint): void {
  if ('centre' in shape) paintEllipsoid(canvas, shape, style);
  else {
    for (let i = 1; i < shape.points.length; i++) {
      paintSegment(canvas, shape.points[i - 1]!, shape.points[i]!, shape.stretch ?? ROUND, style);
    }
  }
}

function blend(hu: Int16Array, at: number, share: number, { hu: tissue, over }: Paint): void {
  if (over === undefined) hu[at] = hu[at]! + (tissue - hu[at]!) * share;
  else hu[at] = Math.max(hu[at]!, over + (tissue - over) * share);
}

function paintSegment(canvas: Canvas, a: TubePoint, b: TubePoint, stretch: XYZ, style: Paint): void {
  const { size, spacing, origin, cos, sin, soft, hu } = canvas;
  const grow = style.grow ?? 0;
  const wanted = Math.max(a[3], b[3]) + grow;
  if (wanted <= 0) return;
  // A tube thinner than a voxel is drawn as wide as one, and as much fainter: soft edges then make its
  // cross-section a cone, which holds a third of π soft².
  const faint = 3 * (wanted / soft) ** 2;
  const thin = faint < 1;
  const opacity = (style.opacity ?? 1) * (thin ? faint : 1);
  const [r0, r1] = thin ? [soft / 2, soft / 2] : [a[3] + grow, b[3] + grow];
  const box = segmentBox(canvas, a, b, stretch, Math.max(r0, r1) + soft / 2);

  const [ux, uy, uz] = [1 / stretch[0], 1 / stretch[1], 1 / stretch[2]];
  const [dx, dy, dz] = [(b[0] - a[0]) * ux, (b[1] - a[1]) * uy, (b[2] - a[2]) * uz];
  const inverse = 1 / Math.max(1e-9, dx * dx + dy * dy + dz * dz);
  for (let k = box.first[2]; k <= box.last[2]; k++) {
    const pz = (origin[2] + k * spacing[2] - a[2]) * uz;
    for (let j = box.first[1]; j <= box.last[1]; j++) {
      const gy = origin[1] + j * spacing[1];
      const row = size[0] * (j + size[1] * k);
      for (let i = box.first[0]; i <= box.last[0]; i++) {
        const gx = origin[0] + i * spacing[0];
        const px = (cos * gx + sin * gy - a[0]) * ux;
        const py = (cos * gy - sin * gx - a[1]) * uy;
        const t = Math.min(Math.max((px * dx + py * dy + pz * dz) * inverse, 0), 1);
        const [ex, ey, ez] = [px - t * dx, py - t * dy, pz - t * dz];
        const distance = Math.sqrt(ex * ex + ey * ey + ez * ez) - (r0 + (r1 - r0) * t);
        if (distance < soft / 2) blend(hu, row + i, opacity * coverage(distance, soft), style);
      }
    }
  }
}

function segmentBox(canvas: Canvas, a: TubePoint, b: TubePoint, stretch: XYZ, radius: number): Box {
  const half = (i: 0 | 1 | 2) => Math.abs(a[i] - b[i]) / 2 + radius * stretch[i];
  return boxAround(
    canvas,
    [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2],
    [half(0), half(1), half(2)],
  );
}

function paintEllipsoid(canvas: Canvas, { centre, radii, axes = UPRIGHT }: Ellipsoid, style: Paint): void {
  const { size, spacing, origin, cos, sin, soft, hu } = canvas;
  const grow = style.grow ?? 0;
  const r: XYZ = [radii[0] + grow, radii[1] + grow, radii[2] + grow];
  if (Math.min(...r) <= 0) return;
  const reach = Math.max(...r) + soft / 2;
  const box = boxAround(canvas, centre, [reach, reach, reach]);
  const opacity = style.opacity ?? 1;
  for (let k = box.first[2]; k <= box.last[2]; k++) {
    const pz = origin[2] + k * spacing[2] - centre[2];
    for (let j = box.first[1]; j <= box.last[1]; j++) {
      const gy = origin[1] + j * spacing[1];
      const row = size[0] * (j + size[1] * k);
      for (let i = box.first[0]; i <= box.last[0]; i++) {
        const gx = origin[0] + i * spacing[0];
        const px = cos * gx + sin * gy - centre[0];
        const py = cos * gy - sin * gx - centre[1];
        const distance = ellipsoidDistance(px, py, pz, r, axes);
        if (distance < soft / 2) blend(hu, row + i, opacity * coverage(distance, soft), style);
      }
    }
  }
}

/** Approximate signed distance (I. Quilez, "Ellipsoid SDF"): exact on the surface and nearly so close to it. */
export function ellipsoidDistance(x: number, y: number, z: number, r: XYZ, m: readonly number[]): number {
  const u = (m[0]! * x + m[1]! * y + m[2]! * z) / r[0];
  const v = (m[3]! * x + m[4]! * y + m[5]! * z) / r[1];
  const w = (m[6]! * x + m[7]! * y + m[8]! * z) / r[2];
  const k0 = Math.sqrt(u * u + v * v + w * w);
  const k1 = Math.sqrt((u / r[0]) ** 2 + (v / r[1]) ** 2 + (w / r[2]) ** 2);
  return k1 < 1e-9 ? -Math.min(...r) : (k0 * (k0 - 1)) / k1;
}

/** Signed distance of a point to a shape in mm, negative inside; a tube's `stretch` is left out. */
export function distanceTo(shape: Shape, x: number, y: number, z: number): number {
  if ('centre' in shape) {
    const { centre: c, radii, axes = UPRIGHT } = shape;
    return ellipsoidDistance(x - c[0], y - c[1], z - c[2], radii, axes);
  }
  let nearest = Number.POSITIVE_INFINITY;
  for (let i = 1; i < shape.points.length; i++) {
    const [a, b] = [shape.points[i - 1]!, shape.points[i]!];
    const [dx, dy, dz] = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
    const along = ((x - a[0]) * dx + (y - a[1]) * dy + (z - a[2]) * dz) / (dx * dx + dy * dy + dz * dz);
    const t = Math.min(Math.max(along, 0), 1);
    const [ex, ey, ez] = [x - a[0] - t * dx, y - a[1] - t * dy, z - a[2] - t * dz];
    nearest = Math.min(nearest, Math.sqrt(ex * ex + ey * ey + ez * ez) - (a[3] + (b[3] - a[3]) * t));
  }
  return nearest;
}
