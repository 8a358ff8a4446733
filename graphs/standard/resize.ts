/** Resize: one constant matrix an axis, for every mode and every way of mapping coordinates. */
import { alongAxis, type Matrix } from '../onnx/blocks.js';
import { normalAxis } from '../onnx/operator.js';
import { GraphError, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';

/** One axis, from `from` to `to` values. */
interface Axis {
  readonly from: number;
  readonly to: number;
  readonly scale: number;
  /** Begin and end of the part that is cropped, between 0 and 1. */
  readonly crop: readonly [number, number];
}

/** Where in the input the centre of output `i` lies. */
const COORDINATES: Readonly<Record<string, (i: number, axis: Axis) => number>> = {
  half_pixel: (i, { scale }) => (i + 0.5) / scale - 0.5,
  half_pixel_symmetric(i, { from, to, scale }) {
    const adjusted = to / (scale * from);
    return (from / 2) * (1 - adjusted) + (i + 0.5) / scale - 0.5;
  },
  pytorch_half_pixel: (i, { to, scale }) => (to > 1 ? (i + 0.5) / scale - 0.5 : 0),
  // The scaled size need not be whole.
  align_corners(i, { from, scale }) {
    const size = from * scale;
    return size === 1 ? 0 : (i * (from - 1)) / (size - 1);
  },
  asymmetric: (i, { scale }) => i / scale,
  tf_half_pixel_for_nn: (i, { scale }) => (i + 0.5) / scale,
  tf_crop_and_resize(i, { from, to, crop: [begin, end] }) {
    if (to === 1) return 0.5 * (begin + end) * (from - 1);
    return begin * (from - 1) + (i * (end - begin) * (from - 1)) / (to - 1);
  },
};

const NEAREST: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** How much a value at a distance counts, and beyond which distance none does. */
interface Kernel {
  readonly radius: number;
  weight(distance: number): number;
}
const linear: Kernel = { radius: 1, weight: (d) => Math.max(1 - Math.abs(d), 0) };
/** Keys' cubic convolution. */
const cubic = (a: number): Kernel => ({
  radius: 2,
  weight(distance) {
    const d = Math.abs(distance);
    if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
    return d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0;
  },
});

/** One row of the matrix: what each input value adds to an output whose centre lies at `x`. */
function row(
  x: number,
  { from, scale }: Axis,
  kernel: Kernel,
  antialias: boolean,
  excludeOutside: boolean,
): number[] {
  const squeeze = antialias ? Math.min(scale, 1) : 1;
  const low = Math.floor(x);
  const first = Math.floor(-kernel.radius / squeeze) + 1;
  const weights = new Array<number>(from).fill(0);
  let sum = 0;
  for (let tap = first; tap < 2 - first; tap++) {
    const place = low + tap;
    if (excludeOutside && (place < 0 || place >= from)) continue;
    const weight = kernel.weight((place - x) * squeeze);
    weights[Math.min(Math.max(place, 0), from - 1)]! += weight;
    sum += weight;
  }
  return weights.map((weight) => weight / sum);
}

function matrixOf(n: StandardNode, axis: Axis): { matrix: Matrix; outside: boolean[] } {
  const mode = n.string('mode', 'nearest');
  const transformation = n.string(
    'coordinate_transformation_mode',
    n.opset < 11 ? 'asymmetric' : 'half_pixel',
  );
  const coordinate = COORDINATES[transformation];
  if (!coordinate) throw new GraphError(`coordinate transformation "${transformation}" is unknown`);
  const kernel = mode === 'cubic' ? cubic(n.float('cubic_coeff_a', -0.75)) : linear;
  const places = Array.from({ length: axis.to }, (_, i) => coordinate(i, axis));
  const nearest = NEAREST[n.string('nearest_mode', n.opset < 11 ? 'floor' : 'round_prefer_floor')]!;
  const matrix = places.map((x) => {
    if (mode !== 'nearest')
      return row(x, axis, kernel, n.int('antialias', 0) === 1, n.int('exclude_outside', 0) === 1);
    const place = Math.min(Math.max(nearest(x), 0), axis.from - 1);
    return Array.from({ length: axis.from }, (_, i) => Number(i === place));
  });
  const crops = transformation === 'tf_crop_and_resize';
  return { matrix, outside: places.map((x) => crops && (x < 0 || x > axis.from - 1)) };
}

/** Sizes and scales of the axes that are resized. */
function axesOf(n: StandardNode, axes: readonly number[]): Axis[] {
  const shape = n.shape(0);
  const isOld = n.opset < 11;
  const roi = isOld ? undefined : n.constants(1);
  const given = n.floats('scales') ?? n.constants(isOld ? 1 : 2);
  const scales = given?.length ? given : undefined;
  const sizes = scales || isOld ? undefined : n.constants(3);
  if (!scales && !sizes) throw new GraphError('scales or sizes are missing');
  const policy = n.string('keep_aspect_ratio_policy', 'stretch');
  const ratios = axes.map((axis, i) => scales?.[i] ?? sizes![i]! / shape[axis]!);
  const common = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return axes.map((axis, i) => {
    const from = shape[axis]!;
    const crop: [number, number] = [roi?.[i] ?? 0, roi?.[i + axes.length] ?? 1];
    if (sizes && policy !== 'stretch')
      return { from, to: Math.floor(from * common + 0.5), scale: common, crop };
    const scale = ratios[i]!;
    return { from, to: sizes ? sizes[i]! : Math.floor(from * scale), scale, crop };
  });
}

function resize(n: StandardNode): Value {
  const shape = n.shape(0);
  const indices = (n.ints('axes') ?? shape.map((_, i) => i)).map((axis) => normalAxis(axis, shape.length));
  const axes = axesOf(n, indices);
  let x = n.input(0);
  for (const [i, axis] of axes.entries()) {
    const { matrix, outside } = matrixOf(n, axis);
    const same = matrix.length === axis.from && matrix.every((weights, j) => weights[j] === 1);
    if (!same) x = alongAxis(n.g, x, matrix, indices[i]!);
    if (!outside.some(Boolean)) continue;
    const along = shape.map((_, a) => (a === indices[i] ? axis.to : 1));
    const mask = n.g.constant({ type: 'bool', shape: along, data: Uint8Array.from(outside, Number) });
    x = n.f.where(mask, n.float('extrapolation_value', 0), x);
  }
  return x;
}

/** Whole factors by nearest neighbour, which has an operator of its own. */
function repeats(n: StandardNode): boolean {
  const scales = n.opset >= 11 ? n.constants(2) : undefined;
  return (
    n.string('mode', 'nearest') === 'nearest' &&
    n.string('coordinate_transformation_mode', 'half_pixel') === 'asymmetric' &&
    n.string('nearest_mode', 'round_prefer_floor') === 'floor' &&
    n.ints('axes') === undefined &&
    !!scales?.length &&
    scales.every((scale, i) => Number.isInteger(scale) && scale >= 1 && (i > 1 || scale === 1))
  );
}

export const resizing: Translations = {
  Resize: (n) =>
    repeats(n)
      ? n.g.add('Resize', [n.input(0), null, n.input(2)], {
          coordinate_transformation_mode: 'asymmetric',
          nearest_mode: 'floor',
        })
      : resize(n),
  Upsample: resize,
};
