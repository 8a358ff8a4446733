/** Resize, axis by axis: places for nearest neighbours, else one constant matrix, for every way of mapping coordinates. */
import { alongAxis } from '../onnx/blocks.js';
import { normalAxis } from '../onnx/operator.js';
import { range } from '../onnx/range.js';
import { GraphError, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';
import { take } from './shapes.js';

/** One axis, from `from` to `to` values. */
interface Axis {
  readonly from: number;
  readonly to: number;
  readonly scale: number;
  /** Begin and end of the part that is cropped, between 0 and 1. */
  readonly crop: readonly [number, number];
}

/** Where in the input the centre of output `i` lies. */
const COORDINATES: ReadonlyMap<string, (i: number, axis: Axis) => number> = new Map(
  Object.entries({
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
  }),
);

const NEAREST: ReadonlyMap<string, (x: number) => number> = new Map(
  Object.entries({
    round_prefer_floor: (x) => Math.ceil(x - 0.5),
    round_prefer_ceil: (x) => Math.floor(x + 0.5),
    floor: Math.floor,
    ceil: Math.ceil,
  }),
);

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

/** x with one axis resized. */
function resizeAxis(n: StandardNode, x: Value, axis: number, sizes: Axis): Value {
  const mode = n.string('mode', 'nearest');
  const transformation = n.string(
    'coordinate_transformation_mode',
    n.opset < 11 ? 'asymmetric' : 'half_pixel',
  );
  const coordinate = COORDINATES.get(transformation);
  const nearest = NEAREST.get(n.string('nearest_mode', n.opset < 11 ? 'floor' : 'round_prefer_floor'));
  if (!coordinate || !nearest)
    throw new GraphError(`coordinate transformation "${transformation}" or nearest mode is unknown`);
  const { from, to } = sizes;
  const centres = range(to).map((i) => coordinate(i, sizes));
  const kernel = mode === 'cubic' ? cubic(n.float('cubic_coeff_a', -0.75)) : linear;
  const [antialias, excludeOutside] = [n.int('antialias', 0) === 1, n.int('exclude_outside', 0) === 1];
  const isSame = from === to && centres.every((x, i) => x === i);
  const resized = () =>
    mode === 'nearest'
      ? take(
          n.g,
          x,
          centres.map((centre) => Math.min(Math.max(nearest(centre), 0), from - 1)),
          axis,
        )
      : alongAxis(
          n.g,
          x,
          centres.map((centre) => row(centre, sizes, kernel, antialias, excludeOutside)),
          axis,
        );
  const y = isSame ? x : resized();
  const isOutside = (centre: number) => centre < 0 || centre > from - 1;
  if (transformation !== 'tf_crop_and_resize' || !centres.some(isOutside)) return y;
  const along = x.shape.map((_, i) => (i === axis ? to : 1));
  const outside = n.g.mask(along, (i) => isOutside(centres[i]!));
  return n.f.where(outside, n.float('extrapolation_value', 0), y);
}

/** Sizes and scales of the axes that are resized. */
function axesOf(n: StandardNode, axes: readonly number[]): Axis[] {
  const shape = n.shape(0);
  const isOld = n.opset < 11;
  const roi = isOld ? undefined : n.constants(1);
  const given = n.floats('scales') ?? n.constants(isOld ? 1 : 2);
  const scales = given?.length ? given : undefined;
  const sizes = scales || isOld ? undefined : n.constants(3);
  if ((scales ?? sizes)?.length !== axes.length)
    throw new GraphError(`one scale or size is needed for each of ${axes.length} axes`);
  const policy = n.string('keep_aspect_ratio_policy', 'stretch');
  const ratios = axes.map((axis, i) => scales?.[i] ?? sizes![i]! / shape[axis]!);
  const common = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return axes.map((axis, i) => {
    const from = shape[axis]!;
    const crop: [number, number] = [roi?.[i] ?? 0, roi?.[i + axes.length] ?? 1];
    if (sizes && policy !== 'stretch')
      return { from, to: Math.floor(from * common + 0.5), scale: common, crop };
    const scale = ratios[i]!;
    return { from, to: sizes ? sizes[i]! : Math.floor(Math.fround(from * scale)), scale, crop };
  });
}

function resize(n: StandardNode): Value {
  const rank = n.shape(0).length;
  const indices = (n.ints('axes') ?? range(rank)).map((axis) => normalAxis(axis, rank));
  return axesOf(n, indices).reduce((x, sizes, i) => resizeAxis(n, x, indices[i]!, sizes), n.input(0));
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
