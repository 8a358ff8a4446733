/** Ordering of slices by position, and checks of spacing and gantry tilt. */
import { abridged, type ErrorFacts } from '../../../errors.js';
import type { Grid, XYZ } from '../volume.js';
import type { Slice } from './instance.js';
import { depthOf, dot, normalOf } from './plane.js';

/** Slices that form a volume. */
export interface Stack {
  /** Sorted along the normal of their planes. */
  readonly slices: readonly Slice[];
  /** Regular grid, with z along the normal. */
  readonly grid: Grid;
  /** How the slices deviate from the grid; null where they lie on it. */
  readonly uneven: Uneven | null;
}

/** Deviation of slices from a regular grid. */
export interface Uneven {
  /** Positions along the normal, in mm from the first slice. */
  readonly heights: readonly number[];
  /** In-plane shift from one slice to the next due to gantry tilt, along a row and along a column, in mm. */
  readonly shift: readonly [number, number];
  /** What is done about it, for messages. */
  readonly what: string;
}

/** Why slices do not form a volume. */
export interface Misfit {
  readonly misfit: Pick<ErrorFacts, 'what' | 'got' | 'expected' | 'fix'>;
}

/** Fraction of the spacing by which slices may be off a regular grid: positions are often rounded. */
const EVEN_TOLERANCE = 0.1;
/** Fraction of the spacing from which on gaps differ too much from it; below, slices are interpolated. */
const UNEVEN_LIMIT = 0.5;
/** Fraction of that limit by which gaps at it may be off due to rounding. */
const LIMIT_ROUNDING = 1e-3;
/** Distance in mm within which slices are at the same position. */
const SAME_PLACE = 1e-3;
/** Total in-plane shift in pixels that is ignored. */
const SHIFT_TOLERANCE = 0.25;
/** Pixels by which slice positions may be off a straight line. */
const LINE_TOLERANCE = 0.5;
/** No gantry is tilted further. */
const MAX_TILT_DEGREES = 45;

const minus = (a: XYZ, b: XYZ): XYZ => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];

interface Placed {
  readonly slice: Slice;
  readonly height: number;
}

/**
 * @param slices of one size, spacing and orientation
 * @param preferred path of a file whose slices are preferred to others at their position
 */
export function stackSlices(slices: readonly Slice[], preferred?: string): Stack | Misfit {
  const { plane } = slices[0]!;
  const { alongRow, alongColumn, spacing } = plane;
  const normal = normalOf(plane);
  const placed = slices
    .map((slice): Placed => ({ slice, height: dot(slice.position, normal) }))
    .sort((a, b) => a.height - b.height || (a.slice.path < b.slice.path ? -1 : 1));
  const single = withoutRivals(placed, preferred);
  const doubles = single.filter(({ height }, i) => i > 0 && height - single[i - 1]!.height < SAME_PLACE);
  if (doubles.length > 0) return { misfit: duplicates(doubles, single.length) };
  const ordered = single.map(({ slice }) => slice);
  const heights = single.map(({ height }) => height - single[0]!.height);
  const irregular = gapsBeyond(heights, single[0]!.height);
  if (irregular) return { misfit: irregular };
  const [first] = ordered as [Slice];
  const steps = ordered.length - 1;
  const mean = steps > 0 ? heights[steps]! / steps : depthOf(plane);
  const grid: Grid = {
    size: [first.pixels.columns, first.pixels.rows, ordered.length],
    spacing: [...spacing, mean],
    origin: first.position,
    direction: [0, 1, 2].flatMap((world) => [alongRow[world]!, alongColumn[world]!, normal[world]!]),
  };
  const shift = steps > 0 ? shiftOf(ordered, heights, mean) : ([0, 0] as const);
  if ('misfit' in shift) return shift;
  const what = unevenness(heights, mean, shift);
  return { slices: ordered, grid, uneven: what === '' ? null : { heights, shift, what } };
}

/** In-plane shift from one slice to the next in mm; 0 where the total is negligible. */
function shiftOf(
  slices: readonly Slice[],
  heights: readonly number[],
  mean: number,
): readonly [number, number] | Misfit {
  const [first, last] = [slices[0]!, slices.at(-1)!];
  const { alongRow, alongColumn, spacing } = first.plane;
  const inPlane = ({ position }: Slice) => {
    const offset = minus(position, first.position);
    return [dot(offset, alongRow), dot(offset, alongColumn)] as const;
  };
  const total = inPlane(last);
  const off = slices.find((slice, i) =>
    inPlane(slice).some(
      (mm, axis) =>
        Math.abs(mm - total[axis]! * (heights[i]! / heights.at(-1)!)) > LINE_TOLERANCE * spacing[axis]!,
    ),
  );
  if (off) return { misfit: offLine(off) };
  if (!total.some((mm, axis) => Math.abs(mm) > SHIFT_TOLERANCE * spacing[axis]!)) return [0, 0];
  const shift = total.map((mm) => mm / (slices.length - 1)) as [number, number];
  return tiltOf(shift, mean) > MAX_TILT_DEGREES ? { misfit: offLine(last) } : shift;
}

const tiltOf = (shift: readonly [number, number], mean: number) =>
  (Math.atan2(Math.hypot(...shift), mean) * 180) / Math.PI;

/** What is done about tilt and uneven spacing, for messages; empty where slices lie on their grid. */
function unevenness(heights: readonly number[], mean: number, shift: readonly [number, number]): string {
  const even = heights.every((height, i) => Math.abs(height - i * mean) <= EVEN_TOLERANCE * mean);
  const tilted = shift[0] !== 0 || shift[1] !== 0;
  return [
    ...(tilted ? [`straightened: the gantry was tilted by ${tiltOf(shift, mean).toFixed(1)}°`] : []),
    ...(even
      ? []
      : [`interpolated to ${mean.toFixed(3)} mm: the slices are ${rangeOfGaps(heights)} mm apart`]),
  ].join('; ');
}

/** Keeps slices of the preferred file where others are at their position. */
function withoutRivals(placed: readonly Placed[], preferred: string | undefined): readonly Placed[] {
  const own = placed.filter(({ slice }) => slice.path === preferred);
  return placed.filter(
    ({ height, slice }) =>
      slice.path === preferred || !own.some((other) => Math.abs(other.height - height) < SAME_PLACE),
  );
}

const duplicates = (doubles: readonly Placed[], count: number): Misfit['misfit'] => ({
  what: 'several different slices are at the same position',
  got: `${doubles.length} of ${count} slices, along the normal at ${abridged([...new Set(doubles.map(({ height }) => `${height.toFixed(2)} mm`))])}`,
  expected: 'one slice for each position',
  fix: 'separate the acquisitions or phases that this series mixes into folders of their own',
});

const offLine = ({ position }: Slice): Misfit['misfit'] => ({
  what: 'the slices do not lie behind each other',
  got: `a slice at ${position.map((mm) => mm.toFixed(2)).join(', ')} mm`,
  expected: 'positions on a straight line, as of one acquisition',
  fix: 'separate the acquisitions that this series mixes into folders of their own',
});

const gapsOf = (heights: readonly number[]) => heights.slice(1).map((height, i) => height - heights[i]!);

const rangeOfGaps = (heights: readonly number[]) => {
  const gaps = gapsOf(heights).sort((a, b) => a - b);
  return `${gaps[0]!.toFixed(2)} to ${gaps.at(-1)!.toFixed(2)}`;
};

/** Describes gaps that are too uneven to be interpolated; null without any. @param first position of the first slice */
function gapsBeyond(heights: readonly number[], first: number): Misfit['misfit'] | null {
  const gaps = gapsOf(heights);
  // Of two gaps the smaller one: rather is a slice missing than one too many there.
  const usual = [...gaps].sort((a, b) => a - b)[Math.floor((gaps.length - 1) / 2)]!;
  const limit = UNEVEN_LIMIT * usual * (1 - LIMIT_ROUNDING);
  const beyond = gaps.flatMap((gap, i) => (Math.abs(gap - usual) > limit ? [i] : []));
  if (beyond.length === 0) return null;
  const missing = beyond.every((i) => gaps[i]! > usual);
  return {
    what: missing ? 'slices are missing from the series' : 'the slices are unevenly spaced',
    got: `gaps ${abridged(
      beyond.map(
        (i) =>
          `of ${gaps[i]!.toFixed(2)} mm between ${(first + heights[i]!).toFixed(2)} and ${(first + heights[i + 1]!).toFixed(2)} mm along the normal`,
      ),
    )}`,
    expected: `a slice every ${usual.toFixed(2)} mm, give or take less than ${UNEVEN_LIMIT * 100} %`,
    fix: missing
      ? 'export the whole series again, or put the parts that are complete into folders of their own'
      : 'export a reconstruction with even spacing',
  };
}
