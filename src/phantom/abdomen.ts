import type { XYZ } from '../data/scan/volume.js';
import type { RandomStream } from '../random.js';
import { ramp, spineAt } from './body.js';
import { type Canvas, coverage } from './canvas.js';
import { GAS } from './mediastinum.js';
import type { Patient } from './patient.js';
import { ellipsoidDistance, turned } from './shapes.js';

/** HU below the diaphragm; `above` and `beyondCage` are distances in mm to it and to the ribs, both negative. */
export type BellyTissue = (
  x: number,
  y: number,
  z: number,
  above: number,
  beyondCage: number,
  bundle: number,
  patch: number,
) => number;

const DIAPHRAGM_MM = 3.5;

/** Liver, stomach with gas, spleen, and fat between them. */
export function bellyTissue({ soft }: Canvas, patient: Patient, random: RandomStream): BellyTissue {
  const { between: u } = random;
  const { halfWidth, halfDepth, dome, hu } = patient;
  const stomach: XYZ = [u(0.36, 0.5) * halfWidth, u(-0.4, -0.1) * halfDepth, dome.left - u(28, 44)];
  const stomachRadii: XYZ = [u(32, 48), u(32, 48), u(32, 52)];
  const stomachAxes = turned(u(-0.6, 0.6), u(-0.5, 0.5));
  const gasLevel = stomach[1] - u(-0.4, 0.8) * stomachRadii[1];
  const content = u(10, 50);
  const spleen: XYZ = [u(0.62, 0.74) * halfWidth, u(0.42, 0.6) * halfDepth, dome.left - u(34, 58)];
  const spleenRadii: XYZ = [u(22, 30), u(36, 50), u(34, 52)];
  const spleenAxes = turned(u(-0.9, -0.4));
  const [edge, lean] = [u(0, 22), u(0.3, 0.6)];
  const vessel = (hu.veins - hu.liver) * 0.6;
  return (x, y, z, above, beyondCage, bundle, patch) => {
    if (above > -DIAPHRAGM_MM || beyondCage > -DIAPHRAGM_MM) return hu.muscle;
    const [spineX, spineY] = spineAt(patient, z);
    const crus = coverage(Math.hypot(x - spineX, 1.1 * (y - spineY)) - 27 - 2 * bundle, soft);
    let value = hu.fat + 10 * patch;
    value += (hu.muscle - value) * crus;
    const inSpleen = ellipsoidDistance(x - spleen[0], y - spleen[1], z - spleen[2], spleenRadii, spleenAxes);
    value += (hu.liver + 0.12 * hu.veins - value) * coverage(inSpleen + 2 * bundle, soft);
    const inLiver = (x + lean * y - edge + 5 * patch) / Math.hypot(1, lean);
    // Veins are thin tubes where two sheets of smooth noise meet.
    const branch = Math.max(0, 1 - Math.hypot(bundle, 0.8 * patch) / 0.3);
    value += (hu.liver + vessel * branch - value) * coverage(inLiver, soft);
    const [dx, dy, dz] = [x - stomach[0], y - stomach[1], z - stomach[2]];
    const inStomach = ellipsoidDistance(dx, dy, dz, stomachRadii, stomachAxes) + 2.5 * bundle;
    if (inStomach < soft && inLiver > -2) {
      value += (hu.muscle - value) * coverage(inStomach, soft);
      const filling = content + (GAS - content) * coverage(y - gasLevel, soft);
      value += (filling + 12 * ramp(patch, 0, 1) - value) * coverage(inStomach + 4.5, soft);
    }
    return value;
  };
}
