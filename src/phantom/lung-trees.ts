import type { XYZ } from '../data/scan/volume.js';
import type { RandomStream } from '../random.js';
import { type Canvas, toPatient } from './canvas.js';
import { GAS, hilumOf } from './mediastinum.js';
import { type Patient, SIDES, type Side, signOf } from './patient.js';
import { type Paint, paint } from './shapes.js';
import { growTree, type Tree, treeRadii, treeSegments } from './tree.js';

const AIRWAY_TARGETS = 42;
const AIRWAY_TIP_MM = 0.85;
const STEP_MM = 7;

/** Draws the trees of arteries, veins and bronchi in both lungs. @param lungs mask of the lungs */
export function paintLungTrees(
  canvas: Canvas,
  patient: Patient,
  lungs: Uint8Array,
  random: RandomStream,
): void {
  const { hu, bloodVessels } = patient;
  for (const side of SIDES) {
    const hilum = hilumOf(patient, side);
    const places = (count: number) => drawPlaces(canvas, lungs, side, count, random);
    const airwayTargets = places(AIRWAY_TARGETS).map((place) => towards(hilum.bronchus, place, 0.62));
    const airways = growTree([hilum.bronchus], airwayTargets, STEP_MM);
    // The first branches of the arteries run along the bronchi.
    const beside = airwayTargets.map(([x, y, z]): XYZ => [x + 3, y - 3, z + 2]);
    const arteries = growTree([hilum.artery], [...beside, ...places(bloodVessels.targets)], STEP_MM);
    const veins = growTree(hilum.veins, places(bloodVessels.targets), STEP_MM);

    const blood: Omit<Paint, 'hu'> = { over: hu.lung };
    paintTree(canvas, arteries, treeRadii(arteries, bloodVessels.radius), { ...blood, hu: hu.veins });
    paintTree(canvas, veins, treeRadii(veins, bloodVessels.radius), { ...blood, hu: hu.arteries });
    const bores = treeRadii(airways, AIRWAY_TIP_MM);
    const wall: Paint = { hu: -30, over: hu.lung };
    paintTree(
      canvas,
      airways,
      bores.map((bore) => 1.18 * bore + 0.45),
      wall,
    );
    paintTree(canvas, airways, bores, { hu: GAS + 40 });
  }
}

function paintTree(canvas: Canvas, tree: Tree, radii: Float64Array, style: Paint): void {
  for (const points of treeSegments(tree, radii)) paint(canvas, { points }, style);
}

function towards([x, y, z]: XYZ, to: XYZ, share: number): XYZ {
  return [x + share * (to[0] - x), y + share * (to[1] - y), z + share * (to[2] - z)];
}

/** Up to `count` places in one lung, in mm; fewer when the scan shows next to nothing of it. */
function drawPlaces(
  canvas: Canvas,
  lungs: Uint8Array,
  side: Side,
  count: number,
  random: RandomStream,
): XYZ[] {
  const [width, height, depth] = canvas.size;
  const places: XYZ[] = [];
  for (let attempt = 0; attempt < 60 * count && places.length < count; attempt++) {
    const [i, j, k] = [random.integer(width), random.integer(height), random.integer(depth)];
    if (lungs[i + width * (j + height * k)] === 0) continue;
    // Anywhere in the voxel, or the branches of a coarse scan would lie on a lattice.
    const shake = () => random.uniform() - 0.5;
    const place = toPatient(canvas, i + shake(), j + shake(), k + shake());
    if (place[0] * signOf(side) > 0) places.push(place);
  }
  return places;
}
