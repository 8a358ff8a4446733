import type { XYZ } from '../data/scan/volume.js';
import { type Patient, type Side, signOf } from './patient.js';

/** Smoothly goes from 0 at `from` to 1 at `to`. */
export function ramp(value: number, from: number, to: number): number {
  const t = Math.min(1, Math.max(0, (value - from) / (to - from)));
  return t * t * (3 - 2 * t);
}

const bump = (value: number, centre: number, width: number) => Math.exp(-(((value - centre) / width) ** 2));

/** Radius at an angle of a superellipse with half axis `a` along x, `front` and `back` along −y and +y. */
function superellipse(angle: number, a: number, front: number, back: number, power: number): number {
  const [c, s] = [Math.abs(Math.cos(angle)), Math.sin(angle)];
  const b = s < 0 ? front : back;
  return ((c / a) ** power + (Math.abs(s) / b) ** power) ** (-1 / power);
}

/** Height z in mm → how wide, deep in front and deep behind the rib cage is, relative to its widest part. */
const CAGE_PROFILE: readonly (readonly [z: number, width: number, front: number, back: number])[] = [
  [-170, 0.97, 0.97, 0.9],
  [-60, 1, 1, 0.99],
  [0, 0.97, 0.95, 1],
  [50, 0.86, 0.76, 0.97],
  [85, 0.68, 0.58, 0.86],
  [115, 0.5, 0.4, 0.68],
  [160, 0.38, 0.3, 0.5],
];

function profileAt(z: number): XYZ {
  const above = CAGE_PROFILE.findIndex(([height]) => height > z);
  if (above <= 0) {
    const [, ...ends] = CAGE_PROFILE[above === 0 ? 0 : CAGE_PROFILE.length - 1]!;
    return ends as unknown as XYZ;
  }
  const [low, high] = [CAGE_PROFILE[above - 1]!, CAGE_PROFILE[above]!];
  const share = (z - low[0]) / (high[0] - low[0]);
  const mix = (i: 1 | 2 | 3) => low[i] + share * (high[i] - low[i]);
  return [mix(1), mix(2), mix(3)];
}

/**
 * Distance in mm from the body's axis to the inner surface of the ribs.
 * @param angle 0 is left, π/2 back, π right, −π/2 front
 */
export function cageRadius(patient: Patient, angle: number, z: number): number {
  const [width, front, back] = profileAt(z);
  const { halfWidth, halfDepth, squareness } = patient;
  // The back is flatter than the front.
  const power = squareness + (Math.sin(angle) > 0 ? 0.5 * Math.sin(angle) : 0);
  return superellipse(angle, halfWidth * width, halfDepth * front, halfDepth * back, power);
}

/** {@link cageRadius} in the middle of the front, behind the sternum. */
export function cageFront(patient: Patient, z: number): number {
  return patient.halfDepth * profileAt(z)[1];
}

/** Radii in mm of the surfaces of the chest wall at one angle and height, from the inside out. */
export interface Wall {
  readonly cage: number;
  /** Where muscle ends and fat begins. */
  readonly muscle: number;
  readonly skin: number;
}

export function wallAt(patient: Patient, angle: number, z: number): Wall {
  const cage = cageRadius(patient, angle, z);
  const front = bump(angle, -Math.PI / 2, 0.75);
  const back = bump(angle, Math.PI / 2, 0.8);
  const pectoral = front * ramp(z, 0, 60) * 9;
  let muscle = cage + patient.muscle + back * 22 + pectoral;
  // The shoulders: a wide flat ellipse that the trunk passes into.
  const { halfWidth, halfDepth, shoulder, fat } = patient;
  const high = ramp(z, shoulder - 95, shoulder - 10);
  const girdle = superellipse(angle, halfWidth + 46, halfDepth * 0.78, halfDepth * 0.92 + 12, 2.4);
  muscle = Math.max(muscle, muscle + high * (girdle - muscle));
  // Each breast is a mound of fat in front, to the side.
  const aside = Math.abs(angle + Math.PI / 2);
  const breast = patient.breast * bump(aside, 0.62, 0.38) * bump(z, -12, 42);
  const navel = 1 + 0.5 * ramp(-z, 40, 160) * front;
  // The table flattens the back; the groove along the spine stays.
  const bed = halfDepth + 26 + 0.8 * fat;
  const limit = Math.sin(angle) > 0.2 ? bed / Math.sin(angle) : 1000;
  const groove = 3.5 * bump(angle, Math.PI / 2, 0.16);
  const flat = (radius: number, depth: number) => -smoothMax(-radius, depth - limit, 14);
  muscle = flat(muscle, 0.7 * fat + groove);
  return { cage, muscle, skin: flat(muscle + fat * navel + breast + 3, groove) };
}

/** Where the middle of the vertebral body lies at height z: x and y in mm. */
export function spineAt(patient: Patient, z: number): readonly [x: number, y: number] {
  const { scoliosis, kyphosis, halfDepth } = patient;
  const forward = z > -10 ? kyphosis * ((z + 10) / 130) ** 2 : 0.35 * kyphosis * ((z + 10) / 130) ** 2;
  return [scoliosis * Math.sin((z + 20) / 70), 0.62 * halfDepth - forward];
}

/** Height of the diaphragm above a point, in mm: two domes that fall off to the sides and further to the back. */
export function diaphragmAt(patient: Patient, x: number, y: number): number {
  const { dome, halfWidth, halfDepth } = patient;
  const domeOf = (side: Side) => {
    const u = (x - signOf(side) * 0.46 * halfWidth) / (0.62 * halfWidth);
    const v = (y + 0.15 * halfDepth) / (1.05 * halfDepth);
    return dome[side] - 38 * u * u - (v > 0 ? 58 : 26) * v * v;
  };
  const [left, right] = [domeOf('left'), domeOf('right')];
  return smoothMax(left, right, 46);
}

/** The larger of two numbers, rounded off over differences below `k` (I. Quilez's polynomial smooth maximum). */
export function smoothMax(a: number, b: number, k: number): number {
  const h = Math.max(0, k - Math.abs(a - b)) / k;
  return Math.max(a, b) + (h * h * k) / 4;
}
