import type { XYZ } from '../data/scan/volume.js';
import type { RandomStream } from '../random.js';
import { cageFront, ramp, spineAt } from './body.js';
import type { Canvas } from './canvas.js';
import { type Field, sampledField } from './field.js';
import type { Organ } from './mediastinum.js';
import { type Patient, SIDES, type Side, signOf } from './patient.js';
import { distanceTo, ellipsoidDistance, type Shape, turned } from './shapes.js';

/** Finest across the sheet between the lungs, which is thinner than a cell. */
const LATTICE_MM: XYZ = [3, 5.5, 6.5];
/** mm beyond which a distance to the mediastinum makes no difference. */
const FAR = 30;
/** Height of the part of a lung that narrows to its top, in mm. */
const APEX_MM = 64;

/**
 * Signed distance in mm, positive where the lungs cannot be: in the mediastinum, at the spine, above their
 * tops. The ribs and the diaphragm limit them further.
 */
export function lungLimit(canvas: Canvas, patient: Patient, organs: readonly Organ[]): Field {
  const solid = organs
    .filter(({ margin }) => margin !== undefined)
    .map(({ shape, margin, wall }) => ({ shape, grow: margin! + (wall?.width ?? 0), ...extent(shape) }));
  return sampledField(canvas, LATTICE_MM, (x, y, z) => {
    let distance = Math.min(FAR, septum(patient, x, y, z));
    for (const { shape, grow, low, high } of solid) {
      const reach = grow + distance;
      if (x < low[0] - reach || x > high[0] + reach || y < low[1] - reach || y > high[1] + reach) continue;
      if (z < low[2] - reach || z > high[2] + reach) continue;
      distance = Math.min(distance, distanceTo(shape, x, y, z) - grow);
    }
    return Math.max(-distance, aboveApex(patient, x, y, z));
  });
}

/** Corners of a box, along the patient's axes, around a shape. */
function extent(shape: Shape): { low: XYZ; high: XYZ } {
  const balls = 'centre' in shape ? [[...shape.centre, Math.max(...shape.radii)] as const] : shape.points;
  const low = (i: 0 | 1 | 2) => Math.min(...balls.map((ball) => ball[i] - ball[3]));
  const high = (i: 0 | 1 | 2) => Math.max(...balls.map((ball) => ball[i] + ball[3]));
  return { low: [low(0), low(1), low(2)], high: [high(0), high(1), high(2)] };
}

/** Distance to what parts the lungs besides organs: a thin sheet in front, a thick one above, the spine behind. */
function septum(patient: Patient, x: number, y: number, z: number): number {
  const [spineX, spineY] = spineAt(patient, z);
  const { halfDepth, mediastinum } = patient;
  const upper = 22 * ramp(z, 10, 60) * Math.exp(-(((y - 0.1 * halfDepth) / (0.42 * halfDepth)) ** 2));
  const middle = 0.6 * mediastinum.shift[0] + 0.4 * spineX + 70 * mediastinum.lean * Math.sin(y / 35);
  // Behind the sternum it opens into a wedge of fat.
  const wedge = y < -20 ? 15 * ramp(cageFront(patient, z) + y, 26, -4) : 0;
  const sheet = Math.abs(x - middle) - 1.1 - upper - wedge;
  const [u, v] = [(x - spineX) / 1.15, y - spineY];
  // Behind the vertebral body its arch and the muscles beside it fill the middle.
  const spine = v > 0 ? Math.abs(u) - 17 - 0.1 * v : Math.sqrt(u * u + v * v) - 17;
  return Math.min(sheet, spine);
}

function aboveApex(patient: Patient, x: number, y: number, z: number): number {
  const side: Side = x > 0 ? 'left' : 'right';
  const w = (z - patient.apex[side] + APEX_MM) / APEX_MM;
  if (w <= 0) return -FAR;
  const { halfWidth, halfDepth } = patient;
  const u = (x - signOf(side) * 0.44 * halfWidth) / (0.5 * halfWidth);
  const v = (y - spineAt(patient, z)[1] + 0.45 * halfDepth) / (0.78 * halfDepth);
  return 50 * (Math.sqrt(w * (1 + u * u + v * v)) - 1);
}

/** HU of lung tissue at a place; `gap` is the distance to the pleura in mm, negative inside. */
export type LungTissue = (
  x: number,
  y: number,
  z: number,
  gap: number,
  patch: number,
  grain: number,
) => number;

/** Density of the lungs with their fissures and diseases. */
export function lungTissue(canvas: Canvas, patient: Patient, random: RandomStream): LungTissue {
  const { hu, disease, halfDepth } = patient;
  const { soft } = canvas;
  const blobs = drawConsolidations(patient, random);
  const fissures = { left: drawFissure(random), right: drawFissure(random) };
  const line = 230 * Math.min(1, 1.1 / soft);
  return (x, y, z, gap, patch, grain) => {
    let value = hu.lung + (hu.lungGradient * y) / halfDepth + 9 * grain + 8 * patch;
    if (disease.emphysema > 0) {
      const share = disease.emphysema * ramp(patch + z / 90 + 0.4 * grain, 0.1, 1.2);
      value += (-975 - value) * share;
    }
    if (disease.fibrosis > 0) {
      const basal = ramp(gap, -22, -3) * ramp(y / halfDepth - z / 90, -0.4, 0.9);
      value += 330 * disease.fibrosis * basal * ramp(grain + 0.4 * patch, -0.2, 1.4);
    }
    const { height, slope, bend, horizontal } = x > 0 ? fissures.left : fissures.right;
    const oblique = (z - height - slope * y - bend * Math.sin(x / 28)) / Math.hypot(1, slope);
    let nearest = Math.abs(oblique);
    if (x < 0 && oblique > 0) nearest = Math.min(nearest, Math.abs(z - horizontal - 5 * Math.sin(y / 24)));
    if (nearest < soft) value += line * (1 - nearest / soft);
    for (const { centre, radii, axes, density } of blobs) {
      const [dx, dy, dz] = [x - centre[0], y - centre[1], z - centre[2]];
      const distance = ellipsoidDistance(dx, dy, dz, radii, axes) + 5 * patch + 3 * grain;
      if (distance < 9) value += (density - value) * ramp(-distance, -9, 3);
    }
    return value;
  };
}

interface Fissure {
  /** Height in the middle, in mm, and rise towards the back of the oblique fissure. */
  readonly height: number;
  readonly slope: number;
  readonly bend: number;
  /** Height of the horizontal fissure, which only the right lung has. */
  readonly horizontal: number;
}

function drawFissure({ between }: RandomStream): Fissure {
  return {
    height: between(-32, -8),
    slope: between(0.7, 1.1),
    bend: between(-7, 7),
    horizontal: between(-4, 14),
  };
}

function drawConsolidations(patient: Patient, { between, uniform }: RandomStream) {
  return Array.from({ length: patient.disease.consolidations }, () => {
    const side = SIDES[uniform() < 0.5 ? 0 : 1]!;
    const x = signOf(side) * between(0.45, 0.85) * patient.halfWidth;
    const centre: XYZ = [x, between(-0.4, 0.75) * patient.halfDepth, between(-70, 70)];
    const radii: XYZ = [between(8, 32), between(8, 28), between(8, 30)];
    return { centre, radii, axes: turned(between(-1.5, 1.5), between(-1, 1)), density: between(-350, 45) };
  });
}

/** HU of fluid around a lung. */
export const FLUID = 12;

/** Height of the surface of fluid in the pleura above a point, in mm: it gathers at the back. */
export function fluidAt(patient: Patient, x: number, y: number): number {
  const side: Side = x > 0 ? 'left' : 'right';
  const amount = patient.disease.effusion[side];
  if (amount === 0) return Number.NEGATIVE_INFINITY;
  const { halfWidth, halfDepth, dome } = patient;
  // Fluid clings to the wall, so that its surface is a bowl; it leaves the front free.
  const [u, v] = [(x - signOf(side) * 0.42 * halfWidth) / (0.62 * halfWidth), y / halfDepth + 0.15];
  const front = 90 * ramp(-v, -0.6, 0.6);
  return dome[side] - 25 + amount + 110 * (Math.hypot(u, v) - 0.95) - front;
}
