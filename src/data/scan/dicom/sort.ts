/** Divides the slices of a series into volumes. */
import { grouped } from '../../../../graphs/onnx/grouped.js';
import type { Slice } from './instance.js';
import { dot, isParallel, normalOf } from './plane.js';
import { type Misfit, type Stack, stackSlices } from './stack.js';

export type Sorted = (Stack | Misfit) & { readonly members: readonly Slice[] };

/**
 * Divides a series into stacks of one size, spacing and orientation, and further into acquisitions, phases or
 * reconstructions where several cover the same place. Their order does not depend on file names.
 * @param preferred path of a file whose slices are preferred to others at their position
 */
export function sortSlices(slices: readonly Slice[], preferred?: string): Sorted[] {
  const groups: Slice[][] = [];
  for (const slice of slices) {
    const group = groups.find(([first]) => belongTogether(first!, slice));
    if (group) group.push(slice);
    else groups.push([slice]);
  }
  const firstUid = ({ members }: Sorted) =>
    members.reduce((least, { uid }) => (uid < least ? uid : least), '~');
  return groups
    .flatMap((group) => stacksOf(group, preferred))
    .sort((a, b) => (firstUid(a) < firstUid(b) ? -1 : 1));
}

function belongTogether(a: Slice, b: Slice): boolean {
  // A multi-frame image is a stack of its own.
  if ((a.pixels.frames > 1 || b.pixels.frames > 1) && a.path !== b.path) return false;
  if (a.pixels.columns !== b.pixels.columns || a.pixels.rows !== b.pixels.rows) return false;
  return isParallel(a.plane, b.plane);
}

function stacksOf(slices: readonly Slice[], preferred: string | undefined): Sorted[] {
  const stack = (members: readonly Slice[]): Sorted => ({ ...stackSlices(members, preferred), members });
  const whole = stack(slices);
  if (!('misfit' in whole)) return [whole];
  for (const mark of slices[0]!.marks.keys()) {
    const parts = [...grouped(slices, ({ marks }) => marks[mark]).values()];
    const stacks = parts.map(stack);
    if (stacks.every((part) => !('misfit' in part)) && overlap(parts)) return stacks;
  }
  return [whole];
}

/** Whether all parts cover a common place. Rotations of one acquisition follow one another instead. */
function overlap(parts: readonly (readonly Slice[])[]): boolean {
  const normal = normalOf(parts[0]![0]!.plane);
  const heights = parts.map((part) => part.map(({ position }) => dot(position, normal)));
  const first = Math.max(...heights.map((part) => Math.min(...part)));
  const last = Math.min(...heights.map((part) => Math.max(...part)));
  return first < last;
}
