import { randomStream } from '../random.js';

/** Which lung, named for the patient's side. x runs to the patient's left. */
export interface Lung {
  /** Centre of its ellipse in the axial plane, mm. */
  readonly x: number;
  readonly y: number;
  /** Half axes, mm. */
  readonly rx: number;
  readonly ry: number;
  /** Top of the lung, and how far below it it has its full width, mm. */
  readonly apex: number;
  readonly shoulder: number;
  /** Height of the diaphragm at its lowest, and of its dome above that, mm. */
  readonly base: number;
  readonly dome: number;
  readonly hu: number;
  /** Slope of the oblique fissure, and where it crosses the middle of the lung, mm. */
  readonly fissureSlope: number;
  readonly fissure: number;
}

/** Something in a lung that healthy people do not have: a soft-edged ball of another density. */
export interface Lesion {
  readonly center: readonly [number, number, number];
  readonly radius: number;
  readonly hu: number;
}

/**
 * One imaginary patient: lengths in mm, in a frame whose origin is the middle of the chest, x to the left, y to
 * the back, z to the head. Drawn from ranges of adult anatomy.
 */
export interface Patient {
  /** Half width and half depth of the trunk. */
  readonly width: number;
  readonly depth: number;
  readonly fat: number;
  readonly muscle: number;
  /** How the patient lies: turn about z in radians, offset of the middle. */
  readonly turn: number;
  readonly offsetX: number;
  readonly offsetY: number;
  /** How far the middle of the scan lies below the middle of the chest. */
  readonly offsetZ: number;
  readonly right: Lung;
  readonly left: Lung;
  /** Half width of the mediastinum. */
  readonly mediastinum: number;
  readonly heart: {
    readonly x: number;
    readonly y: number;
    readonly z: number;
    readonly r: readonly [number, number, number];
  };
  /** HU of blood: contrast medium or none. */
  readonly bloodHu: number;
  readonly muscleHu: number;
  readonly liverHu: number;
  readonly boneHu: number;
  readonly aorta: {
    readonly x: number;
    readonly y: number;
    readonly radius: number;
    readonly archTop: number;
  };
  readonly trachea: { readonly y: number; readonly radius: number; readonly carina: number };
  readonly spineY: number;
  /** Distance of vertebrae and, nearly, of ribs. */
  readonly vertebra: number;
  readonly vertebraPhase: number;
  readonly ribPitch: number;
  readonly ribPhase: number;
  /** How far a rib falls from back to front. */
  readonly ribFall: number;
  readonly lesions: readonly Lesion[];
  /** Pleural fluid in the right and left lung: height above the back, 0 for none. */
  readonly effusion: readonly [right: number, left: number];
  readonly noiseHu: number;
  /** HU outside a round field of view; null for a square one. */
  readonly padding: number | null;
}

/** Draws patient `index` of a seed. */
export function drawPatient(seed: number, index: number): Patient {
  const random = randomStream(seed, 'patient', index);
  const { between, uniform } = random;
  const width = between(145, 180);
  const depth = between(95, 125);
  const fat = between(5, 26);
  const muscle = between(10, 18);
  const wall = fat + muscle + 6;
  const lungHu = between(-880, -760);
  const lung = (side: -1 | 1): Lung => {
    const rx = (width - wall) * between(0.4, 0.46);
    return {
      x: side * (width - wall - rx - between(0, 4)),
      y: between(-8, 4),
      rx,
      ry: (depth - wall) * between(0.9, 0.99),
      apex: between(112, 135),
      shoulder: between(70, 110),
      base: between(-125, -85) - (side === 1 ? between(0, 18) : 0),
      dome: between(20, 50),
      hu: lungHu + between(-15, 15),
      fissureSlope: between(0.7, 1.2),
      fissure: between(-25, 15),
    };
  };
  const [right, left] = [lung(-1), lung(1)];
  const lesions = Array.from({ length: uniform() < 0.4 ? 2 + random.integer(8) : 0 }, (): Lesion => {
    const { x, y, rx, ry } = uniform() < 0.5 ? right : left;
    const dense = uniform() < 0.4;
    return {
      center: [x + rx * between(-0.8, 0.8), y + ry * between(-0.8, 0.8), between(-70, 90)],
      radius: dense ? between(10, 32) : between(8, 24),
      hu: dense ? between(-400, 20) : between(-985, -930),
    };
  });
  const fluid = () => (uniform() < 0.15 ? between(15, 60) : 0);
  return {
    width,
    depth,
    fat,
    muscle,
    turn: between(-0.12, 0.12),
    offsetX: between(-15, 15),
    offsetY: between(-15, 15),
    offsetZ: between(-20, 20),
    right,
    left,
    mediastinum: between(22, 34),
    heart: {
      x: between(14, 28),
      y: between(-0.45, -0.25) * depth,
      z: between(-62, -38),
      r: [between(48, 66), between(38, 50), between(42, 58)],
    },
    bloodHu: uniform() < 0.5 ? between(35, 55) : between(120, 260),
    muscleHu: between(42, 62),
    liverHu: between(45, 110),
    boneHu: between(420, 900),
    aorta: {
      x: between(14, 26),
      y: between(0.3, 0.42) * depth,
      radius: between(10, 16),
      archTop: between(45, 70),
    },
    trachea: { y: between(-2, 14), radius: between(6.5, 10), carina: between(15, 35) },
    spineY: depth * between(0.5, 0.58),
    vertebra: between(21, 28),
    vertebraPhase: uniform(),
    ribPitch: between(24, 31),
    ribPhase: uniform(),
    ribFall: between(50, 90),
    lesions,
    effusion: [fluid(), fluid()],
    noiseHu: between(12, 34),
    padding: uniform() < 0.3 ? -1024 : null,
  };
}
