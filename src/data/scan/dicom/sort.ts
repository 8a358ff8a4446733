/** Divides the slices of a series into volumes. */
import { grouped } from '../../../../graphs/onnx/grouped.js';
import { MARKS, type Mark, type Slice } from './instance.js';
import { dot, isParallel, normalOf } from './plane.js';
import { type Misfit, type Stack, stackSlices } from './stack.js';

export type Sorted = (Stack | Misfit) & { readonly members: readonly Slice[] };

/**
 * Divides a series into stacks of one size, spacing and orientation, and further into acquisitions, phases or
 * reconstructions where several cover the same place. Copies of an image count once. The order of the stacks does not depend on
 * file names.
 * @param modality of the series, such as CT
 * @param preferred path of a file whose slices are preferred to their copies, and to others at their position
 */
export function sortSlices(slices: readonly Slice[], modality: string, preferred?: string): Sorted[] {
  const groups: Slice[][] = [];
  for (const slice of slices) {
    const group = groups.find(([first]) => areAlike(first!, slice));
    if (group) group.push(slice);
    else groups.push([slice]);
  }
  const first = ({ members }: Sorted) => members.map(imageOf).reduce((a, b) => (a < b ? a : b));
  return groups
    .flatMap((group) => byImage(withoutCopies(group, preferred)))
    .flatMap((group) => stacksOf(group, modality, preferred))
    .sort((a, b) => (first(a) < first(b) ? -1 : 1));
}

function areAlike(a: Slice, b: Slice): boolean {
  if (a.pixels.columns !== b.pixels.columns || a.pixels.rows !== b.pixels.rows) return false;
  return isParallel(a.plane, b.plane);
}

/**
 * What copies of an image share: its SOPInstanceUID, and what tells images apart where a program gave all of a series the same one.
 */
const imageOf = ({ uid, path, number, frame, position, marks }: Slice): string =>
  JSON.stringify([uid || path, number, frame, position, MARKS.map((mark) => marks[mark])]);

/** Of the copies of an image that of the preferred file, or else of the first path. */
function withoutCopies(slices: readonly Slice[], preferred: string | undefined): Slice[] {
  const rank = ({ path }: Slice) => (path === preferred ? '' : path);
  const images = new Map<string, Slice>();
  for (const slice of slices) {
    const image = imageOf(slice);
    const other = images.get(image);
    if (!other || rank(slice) < rank(other)) images.set(image, slice);
  }
  return [...images.values()];
}

/** A multi-frame image is a stack of its own. */
const byImage = (slices: readonly Slice[]): Slice[][] => [
  ...grouped(slices, ({ path, pixels }) => (pixels.frames > 1 ? path : '')).values(),
];

/** By what an MR that is acquired in packages, whose slices lie between each other, is not divided. */
const PACKAGES: readonly Mark[] = ['acquisition', 'stack', 'acquisitionTime'];

function stacksOf(slices: readonly Slice[], modality: string, preferred: string | undefined): Sorted[] {
  const stack = (members: readonly Slice[]): Sorted => ({ ...stackSlices(members, preferred), members });
  const whole = stack(slices);
  const isStack = !('misfit' in whole);
  const areApart = isStack ? areStaggered : overlap;
  for (const mark of MARKS) {
    if (isStack && modality !== 'CT' && PACKAGES.includes(mark)) continue;
    const parts = [...grouped(slices, ({ marks }) => marks[mark]).values()];
    if (!areApart(parts)) continue;
    const stacks = parts.map(stack);
    if (stacks.every((part) => !('misfit' in part))) return stacks;
  }
  return [whole];
}

/** Whether all parts cover a common place. Rotations of one acquisition follow one another instead. */
const overlap = (parts: readonly (readonly Slice[])[]): boolean => coverOf(parts).common > 0;

/** Fewer slices than this are no acquisition of their own. */
const LEAST_SLICES = 3;

/** Whether parts cover the same place, with their slices between each other: together they look like one scan of finer spacing. */
function areStaggered(parts: readonly (readonly Slice[])[]): boolean {
  if (parts.length < 2 || parts.some(({ length }) => length < LEAST_SLICES)) return false;
  const { common, shortest } = coverOf(parts);
  return common > shortest / 2;
}

/** What all parts cover along the normal, negative where they do not meet, and what the shortest covers, in mm. */
function coverOf(parts: readonly (readonly Slice[])[]): { common: number; shortest: number } {
  const normal = normalOf(parts[0]![0]!.plane);
  const heights = parts.map((part) => part.map(({ position }) => dot(position, normal)));
  const [lowest, highest] = [
    heights.map((part) => Math.min(...part)),
    heights.map((part) => Math.max(...part)),
  ];
  return {
    common: Math.min(...highest) - Math.max(...lowest),
    shortest: Math.min(...highest.map((high, i) => high - lowest[i]!)),
  };
}
