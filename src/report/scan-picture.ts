/** Pictures of scans: an axial, a coronal and a sagittal plane side by side. */
import { encode } from 'fast-png';
import type { Grid, Voxels, XYZ } from '../data/scan/volume.js';

/** Pixels along the longest side of a scan. */
const SIDE = 320;
const GAP = 4;
const SAMPLES = 65_536;

export type Colour = readonly [red: number, green: number, blue: number];

/** Colours of classes, the first first. */
const CLASS_COLOURS: readonly Colour[] = [
  ...([
    [230, 57, 70],
    [42, 157, 243],
    [82, 183, 136],
    [244, 162, 97],
  ] as const),
  ...([
    [155, 93, 229],
    [255, 214, 10],
    [0, 187, 249],
    [241, 91, 181],
  ] as const),
];
const CLASS_SHARE = 0.45;

/** The colour of each voxel of a grid in LPS orientation. */
export type ColourAt = (x: number, y: number, z: number) => Colour;

/** Grey levels of a scan's values: from its darkest to its brightest hundredth. */
export function greyOf(voxels: Voxels): (value: number) => number {
  const step = Math.ceil(voxels.length / SAMPLES) | 1; // odd: a scan's rows are mostly even
  const sorted = Float32Array.from(
    { length: Math.ceil(voxels.length / step) },
    (_, i) => voxels[i * step]!,
  ).sort();
  const [low, high] = [0.01, 0.99].map((share) => sorted[Math.round(share * (sorted.length - 1))]!) as [
    number,
    number,
  ];
  const scale = 255 / (high - low || 1);
  return (value) => Math.min(Math.max((value - low) * scale, 0), 255);
}

/** A class laid over a grey level. @param label 0 is none */
export function overlaid(grey: number, label: number): Colour {
  if (label === 0) return [grey, grey, grey];
  const [r, g, b] = CLASS_COLOURS[(label - 1) % CLASS_COLOURS.length]!;
  const mix = (colour: number) => (1 - CLASS_SHARE) * grey + CLASS_SHARE * colour;
  return [mix(r), mix(g), mix(b)];
}

/** A plane: pixels along both sides, and the voxel of each. */
interface View {
  readonly width: number;
  readonly height: number;
  readonly voxelAt: (column: number, row: number) => XYZ;
}

/** As radiologists look at them: the patient's right on the left, anterior or superior at the top. */
function viewsOf({ size, spacing }: Pick<Grid, 'size' | 'spacing'>, [x, y, z]: XYZ): View[] {
  const longest = Math.max(...size.map((length, i) => length * spacing[i]!));
  const pixel = longest / SIDE;
  const pixels = size.map((length, i) => Math.max(1, Math.round((length * spacing[i]!) / pixel)));
  const [w, h, d] = pixels as [number, number, number];
  const along = (axis: 0 | 1 | 2, at: number) =>
    Math.min(Math.floor(((at + 0.5) * size[axis]) / pixels[axis]!), size[axis] - 1);
  return [
    { width: w, height: h, voxelAt: (i, j) => [along(0, i), along(1, j), z] },
    { width: w, height: d, voxelAt: (i, j) => [along(0, i), y, along(2, d - 1 - j)] },
    { width: h, height: d, voxelAt: (i, j) => [x, along(1, i), along(2, d - 1 - j)] },
  ];
}

/**
 * Draws three planes through a voxel as a PNG, with a row for each way to colour them.
 * @param grid in LPS orientation
 * @param centre the voxel
 */
export function scanPicture(
  grid: Pick<Grid, 'size' | 'spacing'>,
  centre: XYZ,
  rows: readonly ColourAt[],
): Uint8Array {
  const views = viewsOf(grid, centre);
  const width = views.reduce((sum, view) => sum + view.width, GAP * (views.length - 1));
  const rowHeight = Math.max(...views.map((view) => view.height));
  const height = rows.length * (rowHeight + GAP) - GAP;
  const data = new Uint8Array(width * height * 3);
  for (const [row, colourAt] of rows.entries()) {
    let left = 0;
    for (const view of views) {
      for (let j = 0; j < view.height; j++)
        for (let i = 0; i < view.width; i++)
          data.set(colourAt(...view.voxelAt(i, j)), 3 * (left + i + width * (row * (rowHeight + GAP) + j)));
      left += view.width + GAP;
    }
  }
  return encode({ width, height, data, channels: 3, depth: 8 });
}

/** The voxel whose three planes hold most voxels that are marked; the middle where none is. */
export function mostMarked(size: XYZ, isMarked: (x: number, y: number, z: number) => boolean): XYZ {
  const counts = size.map((length) => new Float64Array(length)) as [Float64Array, Float64Array, Float64Array];
  for (let z = 0; z < size[2]; z++)
    for (let y = 0; y < size[1]; y++)
      for (let x = 0; x < size[0]; x++) {
        if (!isMarked(x, y, z)) continue;
        counts[0][x]!++;
        counts[1][y]!++;
        counts[2][z]!++;
      }
  return counts.map((count, axis) => {
    const most = count.reduce((best, value, i) => (value > count[best]! ? i : best), 0);
    return count[most] === 0 ? Math.floor(size[axis]! / 2) : most;
  }) as unknown as XYZ;
}
