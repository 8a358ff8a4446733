import type { XYZ } from '../data/scan/volume.js';
import type { RandomStream } from '../random.js';
import { cageFront, cageRadius, ramp, spineAt, wallAt } from './body.js';
import type { Canvas } from './canvas.js';
import { type Patient, SIDES, type Side, signOf } from './patient.js';
import { type Ellipsoid, paint, type Shape, type Tube, type TubePoint } from './shapes.js';

/** A bone: marrow within a shell of `shell` mm of dense bone. */
interface Bone {
  readonly shape: Shape;
  readonly shell: number;
}

const CARTILAGE = 95;
const CANAL = 25;
const DISC = 85;
/** z in mm of the first thoracic vertebra. */
const FIRST_VERTEBRA = 112;

/** Draws spine, ribs, sternum, collar bones, shoulder blades and the heads of the upper arms. */
export function paintSkeleton(canvas: Canvas, patient: Patient, random: RandomStream): void {
  const levels = Array.from({ length: 16 }, (_, i) => FIRST_VERTEBRA - (i - 1) * patient.vertebra);
  paintSpine(canvas, patient, levels);
  for (const side of SIDES) {
    levels.slice(1, 13).forEach((z, i) => {
      paintRib(canvas, patient, side, i, z, random);
    });
    for (const bone of girdleOf(patient, side, random)) paintBone(canvas, patient, bone);
  }
  for (const bone of sternumOf(patient)) paintBone(canvas, patient, bone);
}

function paintBone(canvas: Canvas, { hu }: Patient, { shape, shell }: Bone): void {
  // A shell thinner than a voxel must not fill all of it: the marrow would vanish at coarse spacings.
  const grow = -Math.max(shell, 0.35 * canvas.soft);
  paint(canvas, shape, { hu: hu.cortical * Math.min(1, 0.45 + shell / canvas.soft) });
  paint(canvas, shape, { hu: hu.cancellous, grow });
}

/** Vertebrae and discs; the canal is cut out of the arches last. @param levels z of the bodies' centres */
function paintSpine(canvas: Canvas, patient: Patient, levels: readonly number[]): void {
  const at = (z: number): XYZ => [...spineAt(patient, z), z];
  const body = (z: number) => 13 + 3 * ramp(-z, -110, 140);
  const column = levels.map((z): TubePoint => [...at(z), body(z) - 1.5]);
  paint(canvas, { points: column, stretch: [1.15, 0.95, 1] }, { hu: DISC });
  for (const z of levels)
    for (const bone of vertebraOf(patient, at(z), body(z))) paintBone(canvas, patient, bone);
  const canal = levels.map((z): TubePoint => {
    const [x, y] = at(z);
    return [x, y + body(z) + 7, z, 7.5];
  });
  paint(canvas, { points: canal, stretch: [1.15, 0.9, 1] }, { hu: CANAL });
}

function vertebraOf(patient: Patient, [x, y, z]: XYZ, radius: number): Bone[] {
  const half = 0.5 * patient.vertebra - 2;
  const back = y + radius;
  const stalk = (points: TubePoint[], stretch: XYZ): Bone => ({ shape: { points, stretch }, shell: 1.4 });
  /** A drum: a stack of flat ellipsoids would be round at its ends, a tube squashed along z is not. */
  const drum: Ellipsoid[] = [-0.5, 0, 0.5].map((share) => ({
    centre: [x, y, z + share * half],
    radii: [radius * 1.15, radius * 0.95, half * 0.62],
  }));
  return [
    ...([-1, 1] as const).flatMap((s) => [
      stalk(
        [
          [x + s * 11, back - 3, z + 2, 4],
          [x + s * 13, back + 8, z, 4],
        ],
        [1, 1, 1.5],
      ),
      stalk(
        [
          [x + s * 13, back + 7, z, 4.5],
          [x + s * 34, back + 17, z + 2, 4],
        ],
        [1, 1, 1.2],
      ),
      stalk(
        [
          [x + s * 12, back + 11, z - 3, 3.2],
          [x, back + 19, z - 5, 3.6],
        ],
        [1, 1, 2.2],
      ),
    ]),
    stalk(
      [
        [x, back + 19, z - 6, 3.2],
        [x, back + 36, z - 20, 2.8],
      ],
      [1, 1, 1.8],
    ),
    ...drum.map((shape): Bone => ({ shape, shell: 1.2 })),
  ];
}

/** One rib, from its vertebra down around the chest, and the cartilage that goes on to the sternum. */
function paintRib(
  canvas: Canvas,
  patient: Patient,
  side: Side,
  index: number,
  z: number,
  random: RandomStream,
): void {
  const sign = signOf(side);
  const drop = 44 + 13 * Math.min(index, 8) + random.between(-6, 6);
  const end = index < 7 ? -0.72 : index < 10 ? -0.62 + 0.22 * (index - 6) : 0.5 + 0.35 * (index - 10);
  const steps = 26;
  const path = (from: number, to: number, height: (t: number) => number): TubePoint[] =>
    Array.from({ length: steps + 1 }, (_, i) => {
      const t = from + ((to - from) * i) / steps;
      const level = height(t);
      const angle = Math.PI / 2 - sign * t;
      const r = cageRadius(patient, wrapped(angle), level) + 5.2;
      return [r * Math.cos(angle), r * Math.sin(angle), level, index < 2 ? 3.9 : 3.5];
    });
  // t is the angle from the spine: 0 at the back, π at the sternum.
  const stop = Math.PI / 2 - end;
  const slant = (t: number) => z + 4 - drop * Math.max(0, (t - 0.3) / 2.6);
  const [spineX, spineY] = spineAt(patient, z);
  const root: TubePoint = [spineX + sign * 17, spineY + 15, z + 4, 3.6];
  const bone: Tube = { points: [root, ...path(0.42, stop, slant)], stretch: [1, 1, 1.45] };
  if (index < 7) {
    const rise = 4.5 * index;
    const cartilage = path(stop, 2.98, (t) => slant(stop) + rise * ramp(t, stop, 3.1));
    paint(canvas, { points: cartilage, stretch: [1, 1, 1.45] }, { hu: CARTILAGE });
  }
  paintBone(canvas, patient, { shape: bone, shell: 1.3 });
}

/** To −π … π, as the chest wall's radii want it. */
function wrapped(angle: number): number {
  return Math.atan2(Math.sin(angle), Math.cos(angle));
}

function sternumOf(patient: Patient): Bone[] {
  const front = (z: number, r: number): TubePoint => [0, -cageFront(patient, z) - 6.5, z, r];
  return [
    { shape: { points: [front(72, 5.5), front(48, 5)], stretch: [3.9, 1, 1] }, shell: 1.3 },
    { shape: { points: [front(42, 4.6), front(0, 4.8), front(-46, 4.2)], stretch: [3, 1, 1] }, shell: 1.3 },
    { shape: { points: [front(-54, 3), front(-68, 2)], stretch: [2.2, 1, 1] }, shell: 1.2 },
  ];
}

/** Collar bone, shoulder blade and upper arm of one side. */
function girdleOf(patient: Patient, side: Side, random: RandomStream): Bone[] {
  const sign = signOf(side);
  const top = patient.shoulder;
  const joint: XYZ = [sign * (patient.halfWidth + 16), 8, top];
  const collar: TubePoint[] = [
    [sign * 22, -cageFront(patient, 76) - 2, 77, 7],
    [sign * 58, -44, 84 + 0.1 * (top - 90), 5.5],
    [sign * 96, -22, 84 + 0.55 * (top - 90), 5],
    [sign * 128, -2, top - 2, 5.5],
  ];
  /** A point in the muscles outside the ribs, `angle` from the back. */
  const over = (angle: number, z: number, radius: number): TubePoint => {
    const { cage, muscle } = wallAt(patient, wrapped(Math.PI / 2 - sign * angle), z);
    const r = Math.min(cage + 17, 0.5 * (cage + 9 + muscle));
    return [sign * r * Math.sin(angle), r * Math.cos(angle), z, radius];
  };
  const low = top - random.between(92, 112);
  const turn = random.between(0.62, 0.85);
  const blade = Array.from({ length: 18 }, (_, i) => i / 17).map(
    (t): Tube => ({
      points: [
        over(turn, low + 6 + t * 4, 2),
        over(turn - 0.16 + t * 0.62, low + 48, 1.8),
        over(turn - 0.12 + t * 0.75, top - 24, 2),
      ],
      stretch: [1.5, 1, 1],
    }),
  );
  const spine: Tube = {
    points: [over(turn - 0.1, top - 28, 3.5), over(turn + 0.5, top - 10, 5), [...joint, 7]],
  };
  return [
    { shape: { points: collar }, shell: 1.8 },
    { shape: { centre: joint, radii: [23, 22, 23] }, shell: 1.6 },
    {
      shape: {
        points: [
          [...joint, 15],
          [joint[0] + sign * 50, -4, top + (top > 118 ? 55 : -70), 12],
        ],
      },
      shell: 3.5,
    },
    ...[...blade, spine].map((shape): Bone => ({ shape, shell: 1.4 })),
  ];
}
