import type { XYZ } from '../data/scan/volume.js';
import type { RandomStream } from '../random.js';

/** Left is the patient's left, at positive x. */
export type Side = 'left' | 'right';
export const SIDES: readonly Side[] = ['left', 'right'];
/** The sign of x on a side. */
export const signOf = (side: Side): 1 | -1 => (side === 'left' ? 1 : -1);

/** What makes one patient, and the way of scanning, differ from the next. Lengths in mm, angles in radians. */
export interface Patient {
  /** Half width and half depth of the chest inside the ribs where it is widest. */
  readonly halfWidth: number;
  readonly halfDepth: number;
  /** Exponent of the superellipse of its cross-section: 2 is round. */
  readonly squareness: number;
  readonly fat: number;
  readonly muscle: number;
  readonly breast: number;
  /** z of the shoulder joints: high when the arms are raised. */
  readonly shoulder: number;
  /** z of the tops of the lungs and of the domes of the diaphragm. */
  readonly apex: Readonly<Record<Side, number>>;
  readonly dome: Readonly<Record<Side, number>>;
  readonly roll: number;
  /** Sideways and forward bend of the spine. */
  readonly scoliosis: number;
  readonly kyphosis: number;
  readonly vertebra: number;
  readonly mediastinum: { readonly scale: XYZ; readonly shift: XYZ; readonly lean: number };
  readonly heart: { readonly scale: number; readonly turn: number; readonly tilt: number };
  readonly hu: {
    readonly lung: number;
    /** Added towards the back, where the lung is compressed by its weight. */
    readonly lungGradient: number;
    readonly fat: number;
    readonly muscle: number;
    readonly arteries: number;
    readonly veins: number;
    readonly liver: number;
    readonly cancellous: number;
    readonly cortical: number;
  };
  readonly disease: {
    /** Height of the fluid above the lung's base; 0 is none. */
    readonly effusion: Readonly<Record<Side, number>>;
    /** Share of the lung it destroys, and how much fibrosis adds, both 0 to 1. */
    readonly emphysema: number;
    readonly fibrosis: number;
    readonly calcification: number;
    readonly consolidations: number;
  };
  readonly bloodVessels: { readonly targets: number; readonly radius: number };
}

/** Draws a patient. */
export function drawPatient(random: RandomStream): Patient {
  const { between: u, uniform } = random;
  const sometimes = (probability: number, value: () => number): number => {
    const drawn = value();
    return uniform() < probability ? drawn : 0;
  };
  const stature = u(0.92, 1.08);
  const apex = u(88, 110) * stature;
  const dome = u(-88, -48) * stature;
  const contrast = sometimes(0.55, () => u(40, 150));
  return {
    halfWidth: u(116, 136) * stature,
    halfDepth: u(80, 100) * stature,
    squareness: u(1.95, 2.45),
    fat: u(5, 13) + sometimes(0.4, () => u(5, 14)),
    muscle: u(7, 14),
    breast: sometimes(0.5, () => u(12, 34)),
    shoulder: u(92, 150),
    apex: { left: apex + u(-6, 8), right: apex + u(-8, 6) },
    dome: { left: dome - u(2, 24), right: dome },
    roll: u(-0.09, 0.09),
    scoliosis: u(-10, 10),
    kyphosis: u(8, 32),
    vertebra: u(21.5, 25) * stature,
    mediastinum: {
      scale: [u(0.88, 1.14) * stature, u(0.9, 1.1) * stature, u(0.93, 1.07) * stature],
      shift: [u(-8, 8), u(-6, 6), u(-7, 7)],
      lean: u(-0.1, 0.1),
    },
    heart: { scale: u(0.86, 1.16), turn: u(-0.25, 0.25), tilt: u(-0.3, 0.15) },
    hu: {
      lung: u(-895, -800),
      lungGradient: u(10, 80),
      fat: u(-115, -90),
      muscle: u(42, 60),
      arteries: 40 + contrast * u(0.6, 1),
      veins: 40 + contrast * u(0.5, 1),
      liver: u(48, 64) + contrast * u(0.1, 0.4),
      cancellous: u(60, 190),
      cortical: u(520, 950),
    },
    disease: {
      effusion: {
        left: sometimes(0.14, () => u(12, 70)),
        right: sometimes(0.14, () => u(12, 70)),
      },
      emphysema: sometimes(0.3, () => u(0.2, 1)),
      fibrosis: sometimes(0.2, () => u(0.3, 1)),
      calcification: sometimes(0.4, () => u(0.2, 1)),
      consolidations: uniform() < 0.25 ? 1 + random.integer(3) : 0,
    },
    bloodVessels: { targets: Math.round(u(420, 720)), radius: u(0.48, 0.68) },
  };
}
