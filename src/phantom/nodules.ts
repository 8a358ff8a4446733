import type { XYZ } from '../data/volume.js';
import type { RandomStream } from '../random.js';
import { outsideLung } from './anatomy.js';
import type { Patient } from './patient.js';

export interface Nodule {
  /** Centre, mm in LPS world coordinates, as annotations.csv gives it. */
  readonly world: XYZ;
  readonly diameterMm: number;
  readonly kind: 'solid' | 'ground-glass';
}

/** A nodule in the patient's frame, with its shape. */
export interface NoduleShape {
  readonly center: XYZ;
  /** Mean radius, mm. */
  readonly radius: number;
  /** How uneven the surface is, and where its bumps are. */
  readonly lobes: number;
  readonly phase: number;
  readonly kind: Nodule['kind'];
  readonly hu: number;
}

/** Draws up to `most` nodules that lie well inside the lungs, away from each other. */
export function drawNodules(p: Patient, random: RandomStream, most: number): NoduleShape[] {
  const nodules: NoduleShape[] = [];
  const wanted = random.integer(most + 1);
  for (let attempt = 0; attempt < 200 && nodules.length < wanted; attempt++) {
    const lung = random.uniform() < 0.5 ? p.right : p.left;
    const radius = random.between(2.5, 13);
    const center: XYZ = [
      lung.x + lung.rx * random.between(-0.9, 0.9),
      lung.y + lung.ry * random.between(-0.9, 0.9),
      random.between(lung.base, lung.apex),
    ];
    const clear = nodules.every(
      (n) => Math.hypot(...center.map((c, i) => c - n.center[i]!)) > 2 * (n.radius + radius),
    );
    if (
      !clear ||
      outsideLung(lung, ...center) > -1.3 * radius ||
      Math.abs(center[0]) < p.mediastinum + 1.4 * radius
    )
      continue;
    const kind = random.uniform() < 0.7 ? 'solid' : 'ground-glass';
    const hu = kind === 'solid' ? random.between(-20, 90) : random.between(-620, -450);
    nodules.push({ center, radius, lobes: random.between(0, 0.15), phase: random.between(0, 6), kind, hu });
  }
  return nodules;
}

/** How far a point lies outside a nodule, mm. */
export function outsideNodule(
  { center, radius, lobes, phase }: NoduleShape,
  x: number,
  y: number,
  z: number,
): number {
  const [dx, dy, dz] = [x - center[0], y - center[1], z - center[2]];
  const distance = Math.hypot(dx, dy, dz);
  const bumps = Math.sin(3 * Math.atan2(dy, dx) + phase) * Math.cos(2 * Math.atan2(dz, Math.hypot(dx, dy)));
  return distance - radius * (1 + lobes * bumps);
}
