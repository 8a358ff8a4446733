import type { Grid, Volume, Voxels, XYZ } from './volume.js';

/**
 * World position in LPS mm of a voxel position: `origin + direction · (spacing ∘ voxel)`. May be between voxels.
 * @example
 * const corner = voxelToWorld(volume, [0, 0, 0]);
 */
export function voxelToWorld(grid: Grid, [x, y, z]: XYZ): XYZ {
  const { direction: d, origin: o, spacing: s } = grid;
  const [u, v, w] = [x * s[0], y * s[1], z * s[2]];
  return [
    o[0] + d[0]! * u + d[1]! * v + d[2]! * w,
    o[1] + d[3]! * u + d[4]! * v + d[5]! * w,
    o[2] + d[6]! * u + d[7]! * v + d[8]! * w,
  ];
}

/**
 * Continuous voxel position of a world position in LPS mm; the inverse of {@link voxelToWorld}, not rounded.
 * @example
 * const voxel = worldToVoxel(volume, [-12.5, 30, -100]);
 */
export function worldToVoxel(grid: Grid, world: XYZ): XYZ {
  const { direction: d, origin: o, spacing: s } = grid;
  const [u, v, w] = [world[0] - o[0], world[1] - o[1], world[2] - o[2]];
  // The direction is orthonormal, so its transpose is its inverse.
  return [
    (d[0]! * u + d[3]! * v + d[6]! * w) / s[0],
    (d[1]! * u + d[4]! * v + d[7]! * w) / s[1],
    (d[2]! * u + d[5]! * v + d[8]! * w) / s[2],
  ];
}

/** Whether two grids have the same size, and all corners within a hundredth of a voxel of each other. */
export function gridsAgree(a: Grid, b: Grid): boolean {
  if (a.size.some((length, axis) => length !== b.size[axis])) return false;
  const tolerance = 0.01 * Math.min(...a.spacing, ...b.spacing);
  const ends = a.size.map((length) => [0, length - 1]);
  return ends[0]!.every((x) =>
    ends[1]!.every((y) =>
      ends[2]!.every((z) => {
        const [p, q] = [voxelToWorld(a, [x, y, z]), voxelToWorld(b, [x, y, z])];
        return Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]) <= tolerance;
      }),
    ),
  );
}

/** The 4×4 matrix, row-major, that maps (x, y, z, 1) in voxels to LPS mm. */
export function affineOf(grid: Grid): number[] {
  const { direction: d, origin: o, spacing: s } = grid;
  const row = (i: 0 | 1 | 2) => [d[3 * i]! * s[0], d[3 * i + 1]! * s[1], d[3 * i + 2]! * s[2], o[i]];
  return [...row(0), ...row(1), ...row(2), 0, 0, 0, 1];
}

/** Determinant of a 3×3 matrix, row-major. */
export function determinant(m: readonly number[]): number {
  const [a, b, c, d, e, f, g, h, i] = m as Matrix3;
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}

type Matrix3 = readonly [number, number, number, number, number, number, number, number, number];

/** Below this determinant of unit axes, at least two are within about half a degree of a common plane or line. */
const SINGULAR = 1e-2;

/**
 * The orthonormal matrix nearest to a 3×3 one, row-major, in the Frobenius norm: the orthogonal factor of
 * its polar decomposition, by Newton's iteration (Higham 1986, "Computing the polar decomposition").
 * A reflection stays a reflection.
 * @param matrix columns of length 1; they may lean towards each other, as in a tilted-gantry CT
 * @returns undefined when the columns (nearly) lie in a plane or are not finite
 */
export function nearestOrthonormal(matrix: readonly number[]): number[] | undefined {
  if (!(Math.abs(determinant(matrix)) > SINGULAR)) return undefined;
  let q = [...matrix];
  for (let step = 0; step < 30; step++) {
    const inverse = inverseTransposed(q);
    const next = q.map((value, i) => (value + inverse[i]!) / 2);
    const change = Math.max(...next.map((value, i) => Math.abs(value - q[i]!)));
    q = next;
    if (change < 1e-15) break;
  }
  return q.map((value) => value + 0); // no −0: it would be printed as "-0"
}

function inverseTransposed(m: readonly number[]): number[] {
  const [a, b, c, d, e, f, g, h, i] = m as Matrix3;
  const cofactors = [
    ...[e * i - f * h, f * g - d * i, d * h - e * g],
    ...[c * h - b * i, a * i - c * g, b * g - a * h],
    ...[b * f - c * e, c * d - a * f, a * e - b * d],
  ];
  const det = determinant(m);
  return cofactors.map((cofactor) => cofactor / det);
}

const PERMUTATIONS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;

/**
 * Flips and permutes the axes so that x runs as nearly as possible to the patient's left, y to posterior and
 * z to superior. Nothing is resampled: an oblique scan stays oblique, and every voxel keeps its world position.
 * @returns the same object when the axes already lie so
 * @example
 * const volume = orientLPS(await readVolume('scan.nii.gz'));
 */
export function orientLPS(volume: Volume): Volume {
  const { direction, size, spacing } = volume;
  const along = (world: number, axis: number) => direction[3 * world + axis]!;
  const score = (axes: readonly number[]) => axes.reduce((sum, axis, i) => sum + Math.abs(along(i, axis)), 0);
  const axes = PERMUTATIONS.reduce((best, next) => (score(next) > score(best) ? next : best));
  const flipped = axes.map((axis, i) => along(i, axis) < 0);
  if (axes.every((axis, i) => axis === i) && !flipped.includes(true)) return volume;

  const pick = (values: XYZ): XYZ => [values[axes[0]], values[axes[1]], values[axes[2]]];
  const corner = [0, 0, 0];
  axes.forEach((axis, i) => {
    if (flipped[i]) corner[axis] = size[axis] - 1;
  });
  const sign = (i: number) => (flipped[i] ? -1 : 1);
  const strides = pick([1, size[0], size[0] * size[1]]);
  const start = corner[0]! + size[0] * (corner[1]! + size[1] * corner[2]!);
  return {
    ...volume,
    size: pick(size),
    spacing: pick(spacing),
    origin: voxelToWorld(volume, corner as unknown as XYZ),
    direction: [0, 1, 2].flatMap((world) => axes.map((axis, i) => along(world, axis) * sign(i))),
    voxels: gather(volume.voxels, pick(size), start, [
      strides[0] * sign(0),
      strides[1] * sign(1),
      strides[2] * sign(2),
    ]),
  };
}

/** Copies voxels in the order given by a first index and (possibly negative) strides along the new x, y, z. */
function gather(source: Voxels, [width, height, depth]: XYZ, start: number, [dx, dy, dz]: XYZ): Voxels {
  const result =
    source instanceof Int16Array ? new Int16Array(source.length) : new Float32Array(source.length);
  let to = 0;
  for (let z = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      let from = start + z * dz + y * dy;
      for (let x = 0; x < width; x++, from += dx) result[to++] = source[from]!;
    }
  }
  return result;
}
