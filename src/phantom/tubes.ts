import type { XYZ } from '../data/volume.js';
import type { RandomStream } from '../random.js';
import { outsideLung } from './anatomy.js';
import type { Lung, Patient } from './patient.js';

/** A straight piece of a vessel or an airway, mm in the patient's frame. */
export interface Tube {
  readonly from: XYZ;
  readonly to: XYZ;
  readonly radius: number;
  readonly hu: number;
  /** Thickness and HU of the wall of an airway. */
  readonly wall?: { readonly thickness: number; readonly hu: number };
}

const add = (a: XYZ, b: XYZ, length: number): XYZ => [
  a[0] + b[0] * length,
  a[1] + b[1] * length,
  a[2] + b[2] * length,
];
function unit([x, y, z]: XYZ): XYZ {
  const length = Math.hypot(x, y, z) || 1;
  return [x / length, y / length, z / length];
}

interface Branching {
  readonly lung: Lung;
  readonly hu: number;
  /** Branches thinner than this end. */
  readonly thinnest: number;
  readonly wall?: Tube['wall'];
}

/** Grows a tree from a point: each branch bends a little, splits in two, thinner by Murray's law (r³ = r₁³ + r₂³). */
function grow(
  random: RandomStream,
  tree: Tube[],
  from: XYZ,
  direction: XYZ,
  radius: number,
  how: Branching,
): void {
  if (radius < how.thinnest || tree.length > 1500) return;
  const length = radius * random.between(5, 9) + 4;
  const to = add(from, direction, length);
  if (outsideLung(how.lung, ...to) > -2 * radius) return;
  tree.push({ from, to, radius, hu: how.hu, ...(how.wall ? { wall: how.wall } : {}) });
  const share = random.between(0.3, 0.7);
  for (const part of [share, 1 - share]) {
    const spread = random.between(0.35, 0.9);
    const turn: XYZ = [random.normal() * spread, random.normal() * spread, random.normal() * spread];
    grow(random, tree, to, unit(add(direction, turn, 1)), radius * Math.cbrt(part), how);
  }
}

/** Vessels and airways of both lungs, and the trachea with the main bronchi. */
export function drawTubes(p: Patient, random: RandomStream, voxel: number): Tube[] {
  const { trachea } = p;
  const wall = { thickness: 1.5, hu: p.muscleHu - 20 };
  const fork: XYZ = [0, trachea.y, trachea.carina];
  const tubes: Tube[] = [{ from: [0, trachea.y - 6, 160], to: fork, radius: trachea.radius, hu: -990, wall }];
  // Tubes thinner than about half a voxel only add to the noise.
  const thinnest = Math.max(0.7, 0.35 * voxel);
  for (const lung of [p.right, p.left]) {
    const side = Math.sign(lung.x);
    const hilum: XYZ = [
      side * (p.mediastinum + 8),
      lung.y + random.between(-4, 8),
      trachea.carina - random.between(18, 34),
    ];
    const bronchus = trachea.radius * 0.72;
    const airways: Tube[] = [];
    for (let i = 0; i < 3; i++)
      grow(
        random,
        airways,
        hilum,
        unit([side, random.normal() * 0.7, random.normal() * 0.9]),
        bronchus * 0.6,
        {
          lung,
          hu: -960,
          thinnest: thinnest * 1.6,
          wall: { thickness: 1, hu: -250 },
        },
      );
    const vessels: Tube[] = [];
    for (let i = 0; i < 7; i++)
      grow(
        random,
        vessels,
        add(hilum, [side, 0, 0], 4),
        unit([side, random.normal() * 0.8, random.normal()]),
        random.between(3.2, 5.5),
        {
          lung,
          hu: Math.min(p.bloodHu, 120),
          thinnest,
        },
      );
    tubes.push(...vessels, { from: fork, to: hilum, radius: bronchus, hu: -985, wall }, ...airways);
  }
  return tubes;
}

/** Shortest distance of a point from a piece of line. */
export function fromSegment([x, y, z]: XYZ, { from, to }: Pick<Tube, 'from' | 'to'>): number {
  const d: XYZ = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
  const v: XYZ = [x - from[0], y - from[1], z - from[2]];
  const t = (v[0] * d[0] + v[1] * d[1] + v[2] * d[2]) / (d[0] ** 2 + d[1] ** 2 + d[2] ** 2 || 1);
  const s = Math.min(Math.max(t, 0), 1);
  return Math.hypot(v[0] - s * d[0], v[1] - s * d[1], v[2] - s * d[2]);
}
