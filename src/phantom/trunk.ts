import type { XYZ } from '../data/scan/volume.js';
import type { RandomStream } from '../random.js';
import { bellyTissue } from './abdomen.js';
import { diaphragmAt, ramp, smoothMax, wallAt } from './body.js';
import { type Canvas, coverage, toPatient } from './canvas.js';
import { noiseField, RowReader } from './field.js';
import { FLUID, fluidAt, lungLimit, lungTissue } from './lungs.js';
import type { Organ } from './mediastinum.js';
import type { Patient } from './patient.js';

/** Angles at which the radii of the chest wall are tabulated in every slice. */
const ANGLES = 256;
/** How round the edges of the lungs are, in mm. */
const ROUNDING = 8;
const AIR = -1000;
const SKIN = 15;
const SKIN_MM = 1.8;
/** Thickness of the layers of muscle in the chest wall. */
const LAYER_MM = 15;

/**
 * Fills the canvas with all that is not a separate organ: air, skin, fat, muscle, lungs, liver, and the fat
 * in which the mediastinum lies.
 * @returns the mask of the lungs
 */
export function paintTrunk(
  canvas: Canvas,
  patient: Patient,
  organs: readonly Organ[],
  random: RandomStream,
): Uint8Array {
  const { size, soft, hu, origin, spacing } = canvas;
  const [width, height, depth] = size;
  const mask = new Uint8Array(hu.length);
  const plane = planeMaps(canvas, patient);
  const wall = wallTable();
  // Before the noise, of which the size of the scan decides how much is drawn.
  const lung = lungTissue(canvas, patient, random);
  const belly = bellyTissue(canvas, patient, random);
  const reader = (cell: XYZ) => new RowReader(noiseField(canvas, cell, random), width);
  const [bundles, patches, grains] = [reader([13, 13, 22]), reader([32, 32, 32]), reader([4.5, 4.5, 4.5])];
  const limits = new RowReader(lungLimit(canvas, patient, organs), width);
  const { muscle, fat } = patient.hu;

  for (let k = 0; k < depth; k++) {
    const z = origin[2] + k * spacing[2];
    fillWall(wall, patient, z);
    const inlet = ramp(z, 70, 115);
    for (let j = 0; j < height; j++) {
      const row = width * (j + height * k);
      const [bundle, patch] = [bundles.seek(j, k), patches.seek(j, k)];
      const [grain, limit] = [grains.seek(j, k), limits.seek(j, k)];
      for (let i = 0; i < width; i++) {
        const at = width * j + i;
        const bin = plane.angle[at]! | 0;
        const between = plane.angle[at]! - bin;
        const radius = plane.radius[at]!;
        const outside = radius - mix(wall.skin, bin, between);
        if (outside > soft / 2) {
          hu[row + i] = AIR;
          continue;
        }
        const [x, y] = [plane.x[at]!, plane.y[at]!];
        const beyondCage = radius - mix(wall.cage, bin, between);
        const beyondMuscle = radius - mix(wall.muscle, bin, between) + 1.5 * bundle[i]!;
        // Sheets of fat part the layers of muscle.
        const layer = beyondCage / LAYER_MM + 0.6 * patch[i]! + 0.15 * bundle[i]!;
        const fromSheet = LAYER_MM * Math.abs(layer - Math.round(layer));
        const sheet =
          beyondCage > 3 && fromSheet < 2 ? (1 - 0.5 * fromSheet) * ramp(bundle[i]!, -0.9, 0.9) : 0;
        const inFat = Math.max(1 - coverage(beyondMuscle, soft), sheet);
        let value = muscle + 4 * grain[i]! + inFat * (fat - muscle);
        if (beyondMuscle > 5 && patient.breast > 8 && y < 0) {
          const gland = ramp(patch[i]!, 0.1, 0.9) * ramp(beyondMuscle, 5, 10) * ramp(-outside, 5, 9);
          value += 110 * gland * ramp(z, -70, -40) * ramp(-z, -50, -20);
        }
        value += (SKIN - value) * (1 - coverage(outside + SKIN_MM, soft));
        if (beyondCage < soft) {
          const above = z - plane.diaphragm[at]!;
          const aboveFluid = z - plane.fluid[at]!;
          let inner = fat + 15 + 6 * grain[i]! + 125 * inlet * ramp(Math.abs(bundle[i]!), 0.05, 0.3);
          if (above < 0) inner = belly(x, y, z, above, beyondCage, bundle[i]!, patch[i]!);
          else if (aboveFluid < 0 && limit[i]! < -1) inner = FLUID;
          value += (inner - value) * coverage(beyondCage, soft);
          const floor = Math.max(-above, -aboveFluid);
          const gap = smoothMax(smoothMax(beyondCage, limit[i]!, ROUNDING), floor, ROUNDING / 2);
          if (gap < soft / 2) {
            const share = coverage(gap, soft);
            value += (lung(x, y, z, gap, patch[i]!, grain[i]!) - value) * share;
            if (share >= 0.5) mask[row + i] = 1;
          }
        }
        hu[row + i] = AIR + (value - AIR) * coverage(outside, soft);
      }
    }
  }
  return mask;
}

/** What depends on the place in the plane alone, for every voxel of a slice. */
function planeMaps(canvas: Canvas, patient: Patient) {
  const [width, height] = canvas.size;
  const map = () => new Float32Array(width * height);
  const maps = { x: map(), y: map(), angle: map(), radius: map(), diaphragm: map(), fluid: map() };
  for (let at = 0; at < width * height; at++) {
    const [x, y] = toPatient(canvas, at % width, Math.floor(at / width), 0);
    maps.x[at] = x;
    maps.y[at] = y;
    maps.radius[at] = Math.hypot(x, y);
    // In table cells, so that the wall's radii can be read without a further atan2.
    maps.angle[at] = Math.min((Math.atan2(y, x) / (2 * Math.PI) + 0.5) * ANGLES, ANGLES - 1e-3);
    maps.diaphragm[at] = diaphragmAt(patient, x, y);
    maps.fluid[at] = fluidAt(patient, x, y);
  }
  return maps;
}

const wallTable = () => ({
  cage: new Float32Array(ANGLES + 1),
  muscle: new Float32Array(ANGLES + 1),
  skin: new Float32Array(ANGLES + 1),
});

function fillWall(table: ReturnType<typeof wallTable>, patient: Patient, z: number): void {
  for (let bin = 0; bin <= ANGLES; bin++) {
    const { cage, muscle, skin } = wallAt(patient, (bin / ANGLES - 0.5) * 2 * Math.PI, z);
    table.cage[bin] = cage;
    table.muscle[bin] = muscle;
    table.skin[bin] = skin;
  }
}

function mix(table: Float32Array, bin: number, share: number): number {
  const value = table[bin]!;
  return value + share * (table[bin + 1]! - value);
}
