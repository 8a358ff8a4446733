/** Which slices of a series belong together. */
import type { Slice } from './instance.js';
import { dot, isParallel, normalOf } from './plane.js';
import { type Misfit, type Stack, stackSlices } from './stack.js';

export type Sorted = (Stack | Misfit) & { readonly members: readonly Slice[] };

/**
 * Makes stacks of a series: one for each size, spacing and orientation, and for each acquisition where several are at
 * the same place. In an order that does not depend on the names of files.
 * @param preferred path of a file whose slices win over others at their place
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
  // A file of several frames is a stack of its own.
  if ((a.pixels.frames > 1 || b.pixels.frames > 1) && a.path !== b.path) return false;
  if (a.pixels.columns !== b.pixels.columns || a.pixels.rows !== b.pixels.rows) return false;
  return isParallel(a.plane, b.plane);
}

function stacksOf(slices: readonly Slice[], preferred: string | undefined): Sorted[] {
  const stack = (members: readonly Slice[]): Sorted => ({ ...stackSlices(members, preferred), members });
  const whole = stack(slices);
  if (!('misfit' in whole)) return [whole];
  for (const mark of slices[0]!.marks.keys()) {
    const parts = [...new Set(slices.map(({ marks }) => marks[mark]))].map((value) =>
      slices.filter(({ marks }) => marks[mark] === value),
    );
    if (parts.length < 2 || parts.some((part) => part.length < 2)) continue;
    const stacks = parts.map(stack);
    if (stacks.every((part) => !('misfit' in part)) && overlap(parts)) return stacks;
  }
  return [whole];
}

/** Whether there is a place that all parts cover. Rotations of one acquisition lie one behind the other. */
function overlap(parts: readonly (readonly Slice[])[]): boolean {
  const normal = normalOf(parts[0]![0]!.plane);
  const heights = parts.map((part) => part.map(({ position }) => dot(position, normal)));
  const first = Math.max(...heights.map((part) => Math.min(...part)));
  const last = Math.min(...heights.map((part) => Math.max(...part)));
  return first < last;
}
