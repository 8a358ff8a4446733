import type { XYZ } from '../data/scan/volume.js';
import type { RandomStream } from '../random.js';
import { boxAround, type Canvas, coverage, toGrid, toPatient } from './canvas.js';
import { paint } from './shapes.js';

export interface Nodule {
  /** Centre, mm in LPS world coordinates, as annotations.csv gives it. */
  readonly world: XYZ;
  readonly diameterMm: number;
  readonly kind: 'solid' | 'ground-glass';
}

/** A nodule in the patient's frame, in mm. */
export interface NoduleBall {
  readonly centre: XYZ;
  readonly radius: number;
  readonly kind: Nodule['kind'];
}

const MOST_NODULES = 6;
const SMALLEST_MM = 4;
const LARGEST_MM = 28;
const APART_MM = 5;
const ATTEMPTS = 400;

/**
 * Draws up to six nodules where they lie wholly in the lungs, and marks them in `mask`.
 * @param lungs mask of the lungs
 */
export function paintNodules(
  canvas: Canvas,
  lungs: Uint8Array,
  mask: Uint8Array,
  random: RandomStream,
): NoduleBall[] {
  const nodules: NoduleBall[] = [];
  const wanted = 1 + random.integer(MOST_NODULES);
  for (let attempt = 0; attempt < ATTEMPTS && nodules.length < wanted; attempt++) {
    const place = canvas.size.map((side) => random.between(0, side - 1)) as unknown as XYZ;
    const nodule: NoduleBall = {
      centre: toPatient(canvas, ...place),
      // Small ones are the most frequent: uniform in the logarithm.
      radius: (SMALLEST_MM / 2) * (LARGEST_MM / SMALLEST_MM) ** random.uniform(),
      kind: random.uniform() < 0.72 ? 'solid' : 'ground-glass',
    };
    const apart = nodules.every(
      ({ centre, radius }) => distance(centre, nodule.centre) > radius + nodule.radius + APART_MM,
    );
    if (!apart || !liesInside(canvas, lungs, nodule)) continue;
    paintNodule(canvas, nodule, random);
    forEachVoxel(canvas, nodule.centre, nodule.radius, (at) => {
      mask[at] = 1;
    });
    nodules.push(nodule);
  }
  return nodules;
}

const distance = (a: XYZ, b: XYZ) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

/** Visits the voxels whose centres lie within `reach` mm of a place. */
function forEachVoxel(
  canvas: Canvas,
  centre: XYZ,
  reach: number,
  visit: (at: number, offset: XYZ, r: number) => void,
): void {
  const { first, last } = boxAround(canvas, centre, [reach, reach, reach]);
  const [width, height] = canvas.size;
  for (let k = first[2]; k <= last[2]; k++) {
    for (let j = first[1]; j <= last[1]; j++) {
      for (let i = first[0]; i <= last[0]; i++) {
        const [x, y, z] = toPatient(canvas, i, j, k);
        const offset: XYZ = [x - centre[0], y - centre[1], z - centre[2]];
        const r = Math.hypot(...offset);
        if (r <= reach) visit(i + width * (j + height * k), offset, r);
      }
    }
  }
}

/** Whether a nodule is in the lungs and the scan with all its voxels; it has one at least. */
function liesInside(canvas: Canvas, lungs: Uint8Array, { centre, radius }: NoduleBall): boolean {
  const { size, spacing, origin } = canvas;
  const cut = toGrid(canvas, centre).some((mm, a) => {
    const from = mm - origin[a]!;
    return from < radius || from > (size[a]! - 1) * spacing[a]! - radius;
  });
  if (cut) return false;
  let [voxels, inLungs] = [0, 0];
  forEachVoxel(canvas, centre, radius, (at) => {
    voxels++;
    inLungs += lungs[at]!;
  });
  return voxels > 0 && inLungs === voxels;
}

/** A slightly lobed ball, about as large as a smooth one; some solid ones have spicules. */
function paintNodule(canvas: Canvas, nodule: NoduleBall, random: RandomStream): void {
  const { centre, radius, kind } = nodule;
  const density = kind === 'solid' ? random.between(20, 70) : random.between(-620, -420);
  if (kind === 'solid' && radius > 4 && random.uniform() < 0.4) paintSpicules(canvas, nodule, random);
  const waves = Array.from({ length: 3 }, () => [random.normal(), random.normal(), random.normal()] as const);
  const edge = canvas.soft + (kind === 'solid' ? 0 : 0.35 * radius);
  forEachVoxel(canvas, centre, 1.15 * radius + edge, (at, [x, y, z], r) => {
    let bulge = 0;
    for (const [u, v, w] of waves)
      bulge += 0.035 * Math.sin((2.2 * (u * x + v * y + w * z)) / Math.max(r, 1e-6));
    const share = coverage(r - radius * (1 + bulge), edge);
    const old = canvas.hu[at]!;
    if (old < density) canvas.hu[at] = old + (density - old) * share;
  });
}

function paintSpicules(canvas: Canvas, { centre, radius }: NoduleBall, random: RandomStream): void {
  for (let i = 0; i < 14; i++) {
    const direction = [random.normal(), random.normal(), random.normal()] as const;
    const reach = (radius * random.between(1.2, 1.9)) / Math.hypot(...direction);
    const tip = (axis: 0 | 1 | 2) => centre[axis] + reach * direction[axis];
    const points = [[...centre, 1.1] as const, [tip(0), tip(1), tip(2), 0.3] as const];
    paint(canvas, { points }, { hu: 0, over: -850 });
  }
}
