import type { RandomStream } from '../../../random.js';

/** A cubic Bézier curve from corner to corner of the unit square, which maps intensities to others. */
export interface IntensityCurve {
  /** The two control points between the corners, in [0, 1]. */
  readonly controls: readonly [x1: number, y1: number, x2: number, y2: number];
  /** From (0, 1) to (1, 0) instead of from (0, 0) to (1, 1): light becomes dark. */
  readonly falling: boolean;
}

/** Points at which a curve is computed, and intensities at which it is tabulated. */
const POINTS = 1024;
const CELLS = 1024;

/** Control points anywhere, half of the curves falling. */
export function drawCurve(random: RandomStream): IntensityCurve {
  const controls = [random.uniform(), random.uniform(), random.uniform(), random.uniform()] as const;
  return { controls, falling: random.uniform() < 0.5 };
}

/** One coordinate of the curve at t, which runs from 0 to 1 as t does. */
const bezier = (t: number, first: number, second: number) =>
  t * (3 * (1 - t) * ((1 - t) * first + t * second) + t * t);

/** The curve's values at the intensities 0, 1/CELLS, …, 1. */
function tabulate({ controls: [x1, y1, x2, y2], falling }: IntensityCurve): Float64Array {
  const x = (point: number) => bezier(point / POINTS, x1, x2);
  const y = (point: number) => bezier((falling ? POINTS - point : point) / POINTS, y1, y2);
  let point = 0;
  return Float64Array.from({ length: CELLS + 1 }, (_, cell) => {
    const intensity = cell / CELLS;
    // With controls in the unit square x never decreases.
    while (point < POINTS - 1 && x(point + 1) < intensity) point++;
    const run = x(point + 1) - x(point);
    const share = run > 0 ? Math.min(1, (intensity - x(point)) / run) : 1;
    return (1 - share) * y(point) + share * y(point + 1);
  });
}

/** Non-linear intensities: every value of an image in [0, 1] goes through the curve, and stays in [0, 1]. */
export function mapIntensities(image: Float32Array, curve: IntensityCurve): Float32Array {
  const table = tabulate(curve);
  return image.map((value) => {
    const place = value * CELLS;
    const cell = Math.min(Math.floor(place), CELLS - 1);
    const share = place - cell;
    return (1 - share) * table[cell]! + share * table[cell + 1]!;
  });
}
