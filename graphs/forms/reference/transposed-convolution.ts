/**
 * Transposed convolutions with strides, of any number of axes: what a strided convolution gives back to its input.
 *
 * Along an axis of stride s and padding p, dy[i] reaches voxel o = i·s + t − p through tap t. So the voxels of one phase, o = q·s + r, see the
 * taps t₀, t₀+s, … with t₀ = (r+p) mod s only: each of the s³ phases is a convolution of stride 1 of dy, and together they have no
 * more products than the whole. ONNX Runtime's `ConvTranspose` adds up columns one by one, on one thread.
 */
import { exchanged, reversed } from '../../onnx/blocks.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import type { ResolvedAttributes } from '../../onnx/operator.js';
import type { AttributesOf } from '../../onnx/ops/index.js';
import { resolveWindow, tapsOf } from '../../onnx/ops/spatial.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import type { PlainForm } from '../form.js';
import { convInputGradColumns, isSmallMap } from './columns.js';
import type { WindowSizes } from './convolution.js';
import { interleaved } from './phases.js';

/** One phase along one axis. */
interface Phase {
  /** First of its taps; the others follow in steps of the stride. */
  readonly first: number;
  readonly taps: number;
  /** What it needs before and after dy; negative where it does not see all of dy. */
  readonly before: number;
  readonly after: number;
}

/** @param length of dy @param count of the phase's voxels */
function phaseOf(
  r: number,
  kernel: number,
  stride: number,
  pad: number,
  length: number,
  count: number,
): Phase {
  const first = (r + pad) % stride;
  const taps = Math.ceil((kernel - first) / stride);
  const shift = Math.floor((r + pad) / stride);
  return { first, taps, before: taps - 1 - shift, after: count + shift - length };
}

/** Whether every phase has a tap, and all sizes are known. */
const hasPhases = ({ kernel_shape, strides }: WindowSizes, dy: Value): boolean =>
  strides.some((s) => s > 1) &&
  kernel_shape.every((k, i) => k >= strides[i]!) &&
  dy.shape.every((size) => typeof size === 'number');

/** dy [N,K,…], w [K,C/group,…], bias [C] → [N,C,…] of the given sizes. */
function byPhases(
  g: GraphBuilder,
  [dy, w, bias]: readonly [Value, Value, Value | null],
  { kernel_shape, strides, pads }: WindowSizes,
  group: number,
  sizes: readonly number[],
): Value {
  const [n, , ...lengths] = knownShape(dy.shape, 'a convolution') as [number, number, ...number[]];
  const c = group * (w.shape[1] as number);
  const axes = sizes.map((_, i) => i + 2);
  const counts = sizes.map((size, i) => Math.ceil(size / strides[i]!));
  const kernel = reversed(g, exchanged(g, w, group));

  const convolved = (numbers: readonly number[]): Value => {
    const phases = numbers.map((r, i) =>
      phaseOf(r, kernel_shape[i]!, strides[i]!, pads[i]!, lengths[i]!, counts[i]!),
    );
    const taps = g.slice(
      kernel,
      phases.map(({ first }, i) => (kernel_shape[i]! - 1 - first) % strides[i]!),
      phases.map(({ first }, i) => kernel_shape[i]! - first),
      axes,
      strides,
    );
    const isCut = phases.some(({ before, after }) => before < 0 || after < 0);
    const seen = isCut
      ? g.slice(
          dy,
          phases.map(({ before }) => Math.max(0, -before)),
          phases.map(({ after }, i) => lengths[i]! + Math.min(0, after)),
          axes,
        )
      : dy;
    const around = (side: 'before' | 'after') => phases.map((phase) => Math.max(0, phase[side]));
    return g.add('Conv', [seen, taps, bias], {
      kernel_shape: phases.map(({ taps }) => taps),
      pads: [...around('before'), ...around('after')],
      group,
    });
  };

  const parts = tapsOf(strides).map((numbers) => g.reshape(convolved(numbers), [n, c, 1, ...counts]));
  const phases = g.reshape(g.add('Concat', parts, { axis: 2 }), [n, c, ...strides, ...counts]);
  const y = interleaved(g, phases);
  const isWhole = y.shape.every((size, i) => i < 2 || size === sizes[i - 2]);
  const zeros = sizes.map(() => 0);
  return isWhole ? y : g.slice(y, zeros, sizes, axes);
}

export const convInputGradPhases: PlainForm<'ConvInputGrad'> = {
  applies: ({ inputs: [dy], attributes }) => hasPhases(attributes, dy!) && !isSmallMap(dy!.shape),
  build: (g, { inputs: [dy, w], attributes }) => [
    byPhases(g, [dy!, w!, null], attributes, 1, attributes.input_shape.slice(2)),
  ],
};

type TransposedAttributes = ResolvedAttributes<AttributesOf<'ConvTranspose'>>;

const isDilated = ({ dilations = [] }: TransposedAttributes): boolean => dilations.some((d) => d !== 1);

const windowOf = (attributes: TransposedAttributes, w: Value) =>
  resolveWindow(attributes, knownShape(w.shape.slice(2), 'weights'));

/** Sizes of what comes out. */
const sizesOf = (
  x: Value,
  { kernel_shape, strides, pads }: WindowSizes,
  { output_padding = [] }: TransposedAttributes,
): number[] =>
  knownShape(x.shape.slice(2), 'a convolution').map(
    (length, i) =>
      (length - 1) * strides[i]! +
      (kernel_shape[i]! + (output_padding[i] ?? 0) - pads[i]! - pads[i + kernel_shape.length]!),
  );

/** Of small maps as {@link convInputGradColumns}: a transposed convolution is the gradient of a convolution's input. */
export const convTransposeColumns: PlainForm<'ConvTranspose'> = {
  applies: ({ inputs: [x], attributes }) =>
    !isDilated(attributes) && attributes.group === 1 && isSmallMap(x!.shape),
  build(g, { inputs: [x, w, bias], attributes, blocked }) {
    const window = windowOf(attributes, w!);
    const sizes = sizesOf(x!, window, attributes);
    const input_shape = [x!.shape[0] as number, w!.shape[1] as number, ...sizes];
    const gradient = { inputs: [x!, w!], attributes: { ...window, input_shape }, blocked };
    const [y] = convInputGradColumns.build(g, gradient) as [Value];
    return [bias ? g.add('Add', [y, g.reshape(bias, [-1, ...sizes.map(() => 1)])]) : y];
  },
};

export const convTransposePhases: PlainForm<'ConvTranspose'> = {
  applies: ({ inputs: [x, w], attributes }) =>
    !isDilated(attributes) && hasPhases(windowOf(attributes, w!), x!) && !isSmallMap(x!.shape),
  build(g, { inputs: [x, w, bias], attributes }) {
    const window = windowOf(attributes, w!);
    const { kernel_shape, strides, pads } = window;
    const [n, k, ...lengths] = knownShape(x!.shape, 'a convolution') as [number, number, ...number[]];
    const tiles = kernel_shape.every((size, i) => size === strides[i]) && pads.every((p) => p === 0);
    const { group, output_padding = [] } = attributes;
    if (!tiles || group > 1 || output_padding.some((p) => p > 0))
      return [byPhases(g, [x!, w!, bias ?? null], window, group, sizesOf(x!, window, attributes))];
    // Windows that do not overlap: every tap is a phase, and all of them one product.
    const c = w!.shape[1] as number;
    const taps = sizeOf(kernel_shape);
    const spatial = lengths.map((_, i) => i + 2);
    const rows = g.reshape(g.transpose(w!, [1, ...spatial, 0]), [c * taps, k, ...lengths.map(() => 1)]);
    const spread = (b: Value) => g.add('Expand', [g.reshape(b, [c, 1]), g.integers([c, taps])]);
    const all = bias ? g.reshape(spread(bias), [c * taps]) : null;
    return [interleaved(g, g.reshape(g.add('Conv', [x!, rows, all]), [n, c, ...strides, ...lengths]))];
  },
};
