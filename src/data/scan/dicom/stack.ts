/** Slices as a stack: their order, whether they are evenly spaced and upright, and what is wrong where they are not. */
import { abridged, type ErrorFacts } from '../../../errors.js';
import type { Grid, XYZ } from '../volume.js';
import type { Slice } from './instance.js';
import { dot, normalOf } from './plane.js';

/** Slices that make a volume. */
export interface Stack {
  /** In their order along the normal of their planes. */
  readonly slices: readonly Slice[];
  /** The grid of the slices; z is spaced evenly, and along the normal. */
  readonly grid: Grid;
  /** What must be done to put them onto the grid; null when they lie on it. */
  readonly uneven: Uneven | null;
}

/** How slices lie other than on their grid. */
export interface Uneven {
  /** Where they are along the normal, in mm from the first one. */
  readonly heights: readonly number[];
  /** How far one slice is shifted against the one before along a row and along a column, in mm: a tilted gantry. */
  readonly shift: readonly [number, number];
  /** For people. */
  readonly what: string;
}

/** Why slices make no volume. */
export interface Misfit {
  readonly misfit: Pick<ErrorFacts, 'what' | 'got' | 'expected' | 'fix'>;
}

/** Share of the spacing by which a slice may be off its place on an even grid: positions are often rounded. */
const EVEN_TOLERANCE = 0.1;
/** Share of the spacing by which gaps may differ from it for slices to be interpolated. */
const UNEVEN_TOLERANCE = 0.5;
/** Millimetres within which slices are at one place. */
const SAME_PLACE = 1e-3;
/** Pixels by which the last slice may be shifted against the first one without being straightened. */
const SHIFT_TOLERANCE = 0.25;
/** Pixels by which slices may be off a common line. */
const LINE_TOLERANCE = 0.5;
/** A gantry tilts less; what is shifted more is no tilted stack. */
const MAX_TILT_DEGREES = 45;

const minus = (a: XYZ, b: XYZ): XYZ => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];

interface Placed {
  readonly slice: Slice;
  readonly height: number;
}

/**
 * @param slices of one size, spacing and orientation; copies of one image count once
 * @param preferred path of a file whose slices win over others at their place
 */
export function stackSlices(slices: readonly Slice[], preferred?: string): Stack | Misfit {
  const { plane } = slices[0]!;
  const { alongRow, alongColumn, spacing, thickness } = plane;
  const normal = normalOf(plane);
  const placed = slices
    .map((slice): Placed => ({ slice, height: dot(slice.position, normal) }))
    .sort((a, b) => a.height - b.height || (a.slice.path < b.slice.path ? -1 : 1));
  const single = withoutCopies(placed, preferred);
  const doubles = single.filter(({ height }, i) => i > 0 && height - single[i - 1]!.height < SAME_PLACE);
  if (doubles.length > 0) return { misfit: duplicates(doubles, single.length) };
  const ordered = single.map(({ slice }) => slice);
  const heights = single.map(({ height }) => height - single[0]!.height);
  const irregular = gapsBeyond(heights, single[0]!.height);
  if (irregular) return { misfit: irregular };
  const [first] = ordered as [Slice];
  const steps = ordered.length - 1;
  const mean = steps > 0 ? heights[steps]! / steps : thickness > 0 ? thickness : 1;
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

/** How far each slice is shifted against the one before, in mm; 0 where that is nothing over all of them. */
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

/** What must be done to slices, for people; nothing where they lie on their grid. */
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

/** Copies of an image count once, and slices of a preferred file win over others at their place. */
function withoutCopies(placed: readonly Placed[], preferred: string | undefined): Placed[] {
  const own = placed.filter(({ slice }) => slice.path === preferred);
  const rivals = ({ height, slice }: Placed) =>
    slice.path !== preferred && own.some((other) => Math.abs(other.height - height) < SAME_PLACE);
  const seen = new Set<string>();
  return placed.filter((candidate) => {
    const { uid, frame, position } = candidate.slice;
    // Also by its place: some programs give all slices of a series the same identifier.
    const image = `${uid} ${frame} ${position}`;
    if (rivals(candidate) || (uid !== '' && seen.has(image))) return false;
    seen.add(image);
    return true;
  });
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
  const gaps = gapsOf(heights);
  return `${Math.min(...gaps).toFixed(2)} to ${Math.max(...gaps).toFixed(2)}`;
};

/** What is said of gaps that are too uneven to be interpolated; null without any. @param first height of the first slice */
function gapsBeyond(heights: readonly number[], first: number): Misfit['misfit'] | null {
  const gaps = gapsOf(heights);
  const usual = [...gaps].sort((a, b) => a - b)[Math.floor(gaps.length / 2)]!;
  const beyond = gaps.flatMap((gap, i) => (Math.abs(gap - usual) > UNEVEN_TOLERANCE * usual ? [i] : []));
  if (beyond.length === 0) return null;
  const missing = beyond.every((i) => gaps[i]! > 1.5 * usual);
  return {
    what: missing ? 'slices are missing from the series' : 'the slices are unevenly spaced',
    got: `gaps ${abridged(
      beyond.map(
        (i) =>
          `of ${gaps[i]!.toFixed(2)} mm between ${(first + heights[i]!).toFixed(2)} and ${(first + heights[i + 1]!).toFixed(2)} mm along the normal`,
      ),
    )}`,
    expected: `a slice every ${usual.toFixed(2)} mm, give or take ${UNEVEN_TOLERANCE * 100} %`,
    fix: missing
      ? 'export the whole series again, or put the parts that are complete into folders of their own'
      : 'export a reconstruction with even spacing',
  };
}
