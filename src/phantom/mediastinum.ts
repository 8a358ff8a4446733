import type { XYZ } from '../data/scan/volume.js';
import { spineAt } from './body.js';
import type { Canvas } from './canvas.js';
import type { Patient, Side } from './patient.js';
import { type Ellipsoid, paint, type Shape, type Tube, type TubePoint, turned } from './shapes.js';

/** A part of the mediastinum, in the order of drawing. */
export interface Organ {
  readonly shape: Shape;
  readonly hu: number;
  /** Fat that keeps the lung away from it, in mm; without it the lung reaches over it. */
  readonly margin?: number;
  /** Drawn below, larger by `width` mm. */
  readonly wall?: { readonly hu: number; readonly width: number };
}

/** HU of gas in the trachea, the stomach and outside. */
export const GAS = -990;

/** Centre of a reference chest's organs to where this patient has them. */
function placer(patient: Patient): (x: number, y: number, z: number) => XYZ {
  const { scale, shift, lean } = patient.mediastinum;
  // What lies below the carina reaches down to the diaphragm: low in a deep breath, high in a shallow one.
  const breath = (24 - (patient.dome.left + patient.dome.right) / 2) / 98;
  return (x, y, z) => {
    const height = (z > 20 ? z : 20 + (z - 20) * breath) * scale[2] + shift[2];
    const [spineX, spineY] = spineAt(patient, height);
    // Reference positions are for a spine at y = 56; what lies at the spine stays at the spine.
    const forward = y - 56;
    const free = Math.min(1, Math.max(0, -forward / 40));
    const x1 = x * scale[0] + shift[0] * free + spineX * (1 - 0.5 * free) + lean * height * free;
    return [x1, spineY + forward * scale[1] + shift[1] * free * 0.7, height];
  };
}

/** Where, in the reference chest, the great vessels and bronchi enter each lung. */
const HILUM: Readonly<Record<Side, Hilum>> = {
  right: {
    artery: [-46, 8, 2],
    veins: [
      [-44, 2, -12],
      [-42, 20, -34],
    ],
    bronchus: [-42, 20, -2],
  },
  left: {
    artery: [52, 24, -8],
    veins: [
      [50, 2, -8],
      [48, 24, -32],
    ],
    bronchus: [46, 24, -4],
  },
};

/** Where in a patient the trees of one lung begin, in mm. */
export interface Hilum {
  readonly artery: XYZ;
  readonly veins: readonly [XYZ, XYZ];
  readonly bronchus: XYZ;
}

export function hilumOf(patient: Patient, side: Side): Hilum {
  const place = placer(patient);
  const { artery, veins, bronchus } = HILUM[side];
  return {
    artery: place(...artery),
    veins: [place(...veins[0]), place(...veins[1])],
    bronchus: place(...bronchus),
  };
}

/** Heart, great vessels, trachea and oesophagus; later organs lie over earlier ones. */
export function mediastinumOf(patient: Patient): Organ[] {
  const place = placer(patient);
  const { arteries, veins, muscle, fat } = patient.hu;
  const { left, right } = HILUM;
  const size = Math.cbrt(patient.mediastinum.scale[0] * patient.mediastinum.scale[1]);
  const tube = (...points: TubePoint[]): Tube => ({
    points: points.map(([x, y, z, r]) => [...place(x, y, z), r * size] as const),
  });
  return [
    ...heartOf(patient, place),
    { shape: tube([10, 22, 0, 7], [5, 30, 60, 6], [4, 33, 140, 6]), hu: muscle - 8, margin: 4 },
    { shape: tube([14, 30, -20, 7], [16, 28, -70, 7], [14, 14, -160, 7]), hu: muscle - 8, margin: 4 },
    // Veins: superior vena cava with its two branches, inferior vena cava.
    { shape: tube([-25, -14, 64, 9], [-27, -12, 22, 9.5], [-26, -20, -20, 11]), hu: veins, margin: 4 },
    { shape: tube([-25, -14, 64, 8], [-31, -4, 95, 7], [-40, 14, 140, 7]), hu: veins, margin: 4 },
    {
      shape: tube([-25, -15, 62, 7], [4, -24, 70, 6.5], [32, -6, 95, 7], [42, 14, 140, 7]),
      hu: veins,
      margin: 4,
    },
    { shape: tube([-24, 4, -50, 12], [-24, 18, -90, 12], [-22, 20, -170, 12]), hu: veins * 0.9, margin: 4 },
    // Pulmonary trunk and arteries, pulmonary veins.
    { shape: tube([24, -44, -16, 14], [25, -32, 8, 14], [23, -16, 20, 12.5]), hu: veins, margin: 4 },
    {
      shape: tube([20, -12, 18, 11], [0, -4, 13, 11], [-26, 3, 9, 10], [...right.artery, 8]),
      hu: veins,
      margin: 3,
    },
    {
      shape: tube([23, -14, 20, 11], [38, 6, 22, 10.5], [49, 18, 12, 9], [...left.artery, 7]),
      hu: veins,
      margin: 3,
    },
    { shape: tube([-18, 8, -22, 7], [...right.veins[0], 5.5]), hu: arteries, margin: 2 },
    { shape: tube([-16, 12, -32, 7], [...right.veins[1], 5.5]), hu: arteries, margin: 2 },
    { shape: tube([28, 6, -20, 7], [...left.veins[0], 5]), hu: arteries, margin: 2 },
    { shape: tube([28, 12, -32, 7], [...left.veins[1], 5.5]), hu: arteries, margin: 2 },
    ...aortaOf(patient, tube),
    ...airwayOf(tube, fat, muscle),
  ];
}

function aortaOf(patient: Patient, tube: (...points: TubePoint[]) => Tube): Organ[] {
  const { arteries, cortical } = patient.hu;
  const aorta = tube(
    ...([
      [6, -18, -26, 15],
      [-5, -28, 4, 15.5],
      [-10, -28, 28, 15],
      [-6, -20, 46, 14.5],
    ] as const),
    ...([
      [4, -2, 55, 14],
      [16, 18, 54, 13.5],
      [24, 36, 42, 12.5],
      [26, 45, 22, 12],
    ] as const),
    ...([
      [25, 47, -40, 11.5],
      [20, 44, -90, 11.5],
      [10, 36, -170, 11],
    ] as const),
  );
  const branches = [
    tube([-7, -14, 54, 6.5], [-15, 4, 92, 6], [-26, 24, 140, 5]),
    tube([5, -4, 58, 4.5], [12, 14, 95, 4], [19, 26, 140, 4]),
    tube([16, 16, 58, 5.5], [25, 24, 96, 5], [44, 30, 118, 5], [80, 22, 122, 4]),
  ];
  // Plaques lie in the wall of the arch and further down.
  const plaques = aorta.points
    .slice(3)
    .filter((_, i) => i % 2 === 0)
    .map(
      ([x, y, z, r]): Organ => ({
        shape: { centre: [x + 0.55 * r, y + 0.75 * r, z], radii: [5, 1.8, 7], axes: turned(-0.6) },
        hu: cortical * patient.disease.calcification,
      }),
    );
  return [
    ...branches.map((shape): Organ => ({ shape, hu: arteries, margin: 4 })),
    { shape: aorta, hu: arteries, margin: 3, wall: { hu: 45, width: 1 } },
    ...(patient.disease.calcification > 0 ? plaques : []),
  ];
}

function airwayOf(tube: (...points: TubePoint[]) => Tube, fat: number, muscle: number): Organ[] {
  const airways = [
    tube([1, 26, 145, 8.5], [-1, 20, 70, 8.5], [-2, 16, 28, 9], [-3, 16, 20, 8]),
    tube([-3, 16, 20, 7], [-24, 19, 6, 6.5], [...HILUM.right.bronchus, 5.5]),
    tube([-3, 16, 20, 6.5], [22, 20, 4, 6], [...HILUM.left.bronchus, 5]),
  ];
  const outer = (bore: Tube): Tube => ({ points: bore.points.map(([x, y, z, r]) => [x, y, z, r + 1.6]) });
  const node = (x: number, y: number, z: number, r: number): Organ => ({
    shape: tube([x, y, z, r], [x + 2, y + 2, z - r, r * 0.8]),
    hu: muscle - 5,
  });
  return [
    { shape: tube([2, -34, 50, 12], [3, -40, 20, 10]), hu: (fat + muscle) / 2 - 20, margin: 3 },
    ...[node(-14, 2, 34, 4), node(2, 14, 8, 5), node(-12, -8, 48, 3.5), node(26, 2, 34, 3.5)],
    // All walls before all bores, or a wall would cross the bore where they fork.
    ...airways.map((bore): Organ => ({ shape: outer(bore), hu: muscle - 20, margin: 5 })),
    ...airways.map((bore): Organ => ({ shape: bore, hu: GAS })),
  ];
}

function heartOf(patient: Patient, place: (x: number, y: number, z: number) => XYZ): Organ[] {
  const { heart, hu } = patient;
  const centre = place(20, -26, -44);
  const [turn, tilt] = [-0.55 + heart.turn, -0.42 + heart.tilt];
  const axes = turned(turn, tilt);
  const s = heart.scale;
  /** An ellipsoid along the heart's long axis, `at` from its centre along its own axes: apex, left, up. */
  const part = (at: XYZ, radii: XYZ, twist = 0): Ellipsoid => {
    const along = (i: 0 | 1 | 2) =>
      centre[i] + s * (at[0] * axes[i]! + at[1] * axes[3 + i]! + at[2] * axes[6 + i]!);
    return {
      centre: [along(0), along(1), along(2)],
      radii: [radii[0] * s, radii[1] * s, radii[2] * s],
      axes: twist === 0 ? axes : turned(turn + twist, tilt),
    };
  };
  const calcified = patient.disease.calcification;
  return [
    { shape: part([0, 0, 0], [66, 47, 49]), hu: hu.fat + 15, margin: 1 },
    { shape: part([-6, -22, 4], [44, 20, 36], 0.15), hu: hu.veins, margin: 1, wall: { hu: 55, width: 4 } },
    { shape: part([-44, -14, 8], [23, 27, 30]), hu: hu.veins, margin: 2, wall: { hu: 52, width: 2 } },
    {
      shape: part([-30, 26, 20], [25, 27, 19], -0.5),
      hu: hu.arteries,
      margin: 2,
      wall: { hu: 52, width: 2 },
    },
    {
      shape: part([16, 12, -6], [32, 17, 19]),
      hu: hu.arteries,
      wall: { hu: 55 + 0.45 * (hu.arteries - 40), width: 10 },
    },
    ...(calcified > 0.5 ? [{ shape: part([-4, 6, 30], [14, 1.6, 1.6], 0.9), hu: 450 * calcified }] : []),
  ];
}

export function paintMediastinum(canvas: Canvas, organs: readonly Organ[]): void {
  for (const { shape, hu, wall } of organs) {
    if (wall) paint(canvas, shape, { hu: wall.hu, grow: wall.width });
    paint(canvas, shape, { hu });
  }
}
