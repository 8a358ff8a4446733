import {
  constantOf,
  int,
  normalAxis,
  operator,
  requiredInt,
  requiredInts,
  sameType,
  string,
} from '../operator.js';
import { type Dim, formatShape, GraphError, knownShape, type Shape, sizeOf } from '../types.js';

/** Product of the sizes, when all are known. */
const count = (shape: Shape): number | undefined =>
  shape.every((d) => typeof d === 'number') ? sizeOf(shape as number[]) : undefined;

/** What a Slice takes of an axis of this size: `count` places from `start` on. */
export function sliced(
  size: number,
  from: number,
  to: number,
  step: number,
): { readonly start: number; readonly count: number } {
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const place = (v: number, least: number) => Math.min(Math.max(v < 0 ? v + size : v, least), high);
  const start = place(from, 0);
  return { start, count: Math.max(0, Math.ceil((place(to, low) - start) / step)) };
}

function reshaped(from: Shape, to: readonly number[]): Shape {
  const copied: Dim[] = to.map((d, i) => (d === 0 ? (from[i] ?? 0) : d));
  const free = copied.indexOf(-1);
  const total = count(from);
  if (free >= 0) {
    const rest = count(copied.filter((_, i) => i !== free));
    if (total === undefined || rest === undefined) {
      // With names on both sides, what the names stand for cancels when each appears in both.
      const left = from.filter((d) => !copied.includes(d));
      const right = copied.filter((d, i) => i !== free && !from.includes(d));
      const quotient = (count(left) ?? Number.NaN) / (count(right) ?? Number.NaN);
      copied[free] = Number.isInteger(quotient) ? quotient : 'reshaped';
    } else copied[free] = total / rest;
  }
  const result = count(copied);
  if (total !== undefined && result !== total)
    throw new GraphError(
      `${formatShape(from)} cannot become ${formatShape(to)}: ${total} values against ${result}`,
    );
  return copied;
}

export const shaping = {
  /** x, target shape (0 copies a size, −1 is what remains). */
  Reshape: operator([2, 2], {}, ([x, shape]) => [
    { type: x!.type, shape: reshaped(x!.shape, constantOf(shape, 'the target shape')) },
  ]),
  Transpose: operator([1, 1], { perm: requiredInts }, ([x], { perm }) => {
    if ([...perm].sort((a, b) => a - b).some((p, i) => p !== i) || perm.length !== x!.shape.length)
      throw new GraphError(
        `${formatShape(perm)} is not a permutation of the axes of ${formatShape(x!.shape)}`,
      );
    return [{ type: x!.type, shape: perm.map((p) => x!.shape[p]!) }];
  }),
  Concat: operator([1, Number.POSITIVE_INFINITY], { axis: requiredInt }, (inputs, { axis }) => {
    const first = inputs[0]!.shape;
    const a = normalAxis(axis, first.length);
    for (const { shape } of inputs) {
      if (shape.length !== first.length || shape.some((d, i) => i !== a && d !== first[i]))
        throw new GraphError(
          `${formatShape(first)} and ${formatShape(shape)} differ in axes other than ${axis}`,
        );
    }
    const total = knownShape(
      inputs.map((v) => v.shape[a]!),
      'Concat',
    ).reduce((x, y) => x + y, 0);
    return [{ type: sameType(inputs), shape: first.map((d, i) => (i === a ? total : d)) }];
  }),
  /** x, sizes of the outputs along the axis. */
  Split: operator([2, 2], { axis: int(0) }, ([x, sizes], { axis }) => {
    const a = normalAxis(axis, x!.shape.length);
    const parts = constantOf(sizes, 'the sizes of the outputs');
    if (parts.reduce((p, q) => p + q, 0) !== x!.shape[a])
      throw new GraphError(
        `sizes ${formatShape(parts)} do not add up to axis ${axis} of ${formatShape(x!.shape)}`,
      );
    return parts.map((size) => ({ type: x!.type, shape: x!.shape.map((d, i) => (i === a ? size : d)) }));
  }),
  /** x, indices of int64: the rows of an axis that they name. */
  Gather: operator([2, 2], { axis: int(0) }, ([x, indices], { axis }) => {
    const a = normalAxis(axis, x!.shape.length);
    return [{ type: x!.type, shape: [...x!.shape.slice(0, a), ...indices!.shape, ...x!.shape.slice(a + 1)] }];
  }),
  /** x, starts, ends, axes, steps: as in NumPy. */
  Slice: operator([4, 5], {}, ([x, starts, ends, axes, steps]) => {
    const shape = [...x!.shape];
    const from = constantOf(starts, 'starts');
    const to = constantOf(ends, 'ends');
    const stride = steps ? constantOf(steps, 'steps') : from.map(() => 1);
    constantOf(axes, 'axes').forEach((axis, i) => {
      const a = normalAxis(axis, shape.length);
      const size = knownShape([shape[a]!], 'Slice')[0]!;
      shape[a] = sliced(size, from[i]!, to[i]!, stride[i]!).count;
    });
    return [{ type: x!.type, shape }];
  }),
  /** x, pads (all begins, then all ends). Negative pads cut. */
  Pad: operator([2, 3], { mode: string('constant') }, ([x, pads]) => {
    const amounts = constantOf(pads, 'pads');
    const rank = x!.shape.length;
    const shape = x!.shape.map((d, i) => {
      const extra = amounts[i]! + amounts[i + rank]!;
      return extra === 0 ? d : knownShape([d], 'Pad')[0]! + extra;
    });
    return [{ type: x!.type, shape }];
  }),
  /** x, target shape. */
  Expand: operator([2, 2], {}, ([x, target]) => {
    const to = constantOf(target, 'the target shape');
    const rank = Math.max(to.length, x!.shape.length);
    const shape = Array.from({ length: rank }, (_, i): Dim => {
      const from = x!.shape[i - rank + x!.shape.length] ?? 1;
      const want = to[i - rank + to.length] ?? 1;
      if (from !== 1 && want !== 1 && from !== want)
        throw new GraphError(`${formatShape(x!.shape)} cannot be expanded to ${formatShape(to)}`);
      return from === 1 ? want : from;
    });
    return [{ type: x!.type, shape }];
  }),
  /** x, axes to insert (counted in the result). */
  Unsqueeze: operator([2, 2], {}, ([x, axes]) => {
    const inserted = constantOf(axes, 'axes');
    const rank = x!.shape.length + inserted.length;
    const at = new Set(inserted.map((axis) => normalAxis(axis, rank)));
    const rest = [...x!.shape];
    return [
      { type: x!.type, shape: Array.from({ length: rank }, (_, i) => (at.has(i) ? 1 : rest.shift()!)) },
    ];
  }),
  /** x, axes of size 1 to remove. */
  Squeeze: operator([2, 2], {}, ([x, axes]) => {
    const gone = new Set(constantOf(axes, 'axes').map((axis) => normalAxis(axis, x!.shape.length)));
    for (const axis of gone) {
      if (x!.shape[axis] !== 1) throw new GraphError(`axis ${axis} of ${formatShape(x!.shape)} is not 1`);
    }
    return [{ type: x!.type, shape: x!.shape.filter((_, i) => !gone.has(i)) }];
  }),
  /** x, indices of the same rank: the value of x at every index along one axis. */
  GatherElements: operator([2, 2], { axis: int(0) }, ([x, indices], { axis }) => {
    normalAxis(axis, x!.shape.length);
    return [{ type: x!.type, shape: indices!.shape }];
  }),
  /** x, indices […,k]: the parts of x at every index of its first k axes. */
  GatherND: operator([2, 2], {}, ([x, indices]) => {
    const depth = knownShape(indices!.shape.slice(-1), 'GatherND')[0]!;
    if (depth > x!.shape.length)
      throw new GraphError(`${formatShape(x!.shape)} has no ${depth} axes to take values from`);
    return [{ type: x!.type, shape: [...indices!.shape.slice(0, -1), ...x!.shape.slice(depth)] }];
  }),
  /** data, indices, updates: `data` with `updates` written, or reduced into it, along one axis, where `indices` say. */
  ScatterElements: operator([3, 3], { axis: int(0), reduction: string('none') }, ([data]) => [data!]),
  /** data, indices […,k], updates: the same at every index of the first k axes of `data`. */
  ScatterND: operator([3, 3], { reduction: string('none') }, ([data]) => [data!]),
  /** x, k (constant) → the k largest values along an axis, or smallest, and their int64 indices. */
  TopK: operator([2, 2], { axis: int(-1), largest: int(1), sorted: int(1) }, ([x, k], { axis }) => {
    const a = normalAxis(axis, x!.shape.length);
    const count = constantOf(k, 'k')[0]!;
    const shape = x!.shape.map((d, i) => (i === a ? count : d));
    return [
      { type: x!.type, shape },
      { type: 'int64', shape },
    ];
  }),
};
