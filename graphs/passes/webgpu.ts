/**
 * A graph for ONNX Runtime on WebGPU, with other operators in place of those that it refuses when it meets them (MaxPool where it
 * also says where its maxima are, and ConvTranspose of volumes) or computes wrongly: Slice by steps below −1.
 *
 * - All that {@link rebuild} promises.
 * - Names, order, types and sizes of inputs and outputs stay the same, and so do all results, up to rounding.
 * - Bodies of loops and branches stay as they are.
 */
import { attributesOf } from '../onnx/attributes.js';
import { exchanged, reversed } from '../onnx/blocks.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { sliced } from '../onnx/ops/shape.js';
import { resolveWindow, type Window } from '../onnx/ops/spatial.js';
import { findOperator } from '../onnx/registry.js';
import { type Graph, knownShape, sizeOf, TYPE_CODES, type Value } from '../onnx/types.js';
import { type Replace, rebuild } from './rebuild.js';

/** Which value along an axis each tap of each window sees, [taps][windows]; those in the padding are none. */
function seenAlong(axis: number, windows: number, window: Required<Window>): number[][] {
  const { kernel_shape, strides, pads, dilations } = window;
  return Array.from({ length: kernel_shape[axis]! }, (_, tap) =>
    Array.from({ length: windows }, (_, o) => o * strides[axis]! + tap * dilations[axis]! - pads[axis]!),
  );
}

/**
 * Flat indices into x [N,C,…] of the first maximum y of every window, as MaxPool's second output: of all values that its taps see
 * and that are the maximum, the one with the smallest index.
 */
function placesOf(g: GraphBuilder, x: Value, y: Value, window: Required<Window>): Value {
  const [n, c, ...from] = knownShape(x.shape, 'MaxPool');
  const to = knownShape(y.shape, 'MaxPool').slice(2);
  const last = sizeOf(from) - 1;
  const seen = from.map((_, axis) => seenAlong(axis, to[axis]!, window));
  // Along each axis: taps, windows.
  const spread = seen.flatMap((taps) => [taps.length, taps[0]!.length]);
  const taps = seen.reduce((values, places, i) => {
    const clamped = places.flat().map((place) => BigInt(Math.min(Math.max(place, 0), from[i]! - 1)));
    const shape = [places.length, places[0]!.length];
    const indices = g.constant({ type: 'int64', shape, data: BigInt64Array.from(clamped) });
    return g.add('Gather', [values, indices], { axis: 2 + 2 * i });
  }, x);
  const flat = Int32Array.from({ length: sizeOf(spread) }, (_, i) => {
    let [rest, stride, index] = [i, 1, 0];
    for (let axis = from.length - 1; axis >= 0; axis--) {
      const [count, windows] = [spread[2 * axis]!, spread[2 * axis + 1]!];
      const place = seen[axis]![Math.floor(rest / windows) % count]![rest % windows]!;
      if (place < 0 || place >= from[axis]!) return last;
      index += place * stride;
      stride *= from[axis]!;
      rest = Math.floor(rest / (count * windows));
    }
    return index;
  });
  const maxima = g.reshape(y, [n!, c!, ...to.flatMap((windows) => [1, windows])]);
  const candidates = g.add('Where', [
    g.add('Equal', [taps, maxima]),
    g.constant({ type: 'int32', shape: [1, 1, ...spread], data: flat }),
    g.scalar(last, 'int32'),
  ]);
  const axes = g.integers(from.map((_, i) => 2 + 2 * i));
  const inPlane = g.add('ReduceMin', [candidates, axes], { keepdims: 0 });
  const planes = g.constant({
    type: 'int32',
    shape: [n!, c!, ...from.map(() => 1)],
    data: Int32Array.from({ length: n! * c! }, (_, i) => i * sizeOf(from)),
  });
  return g.add('Cast', [g.add('Add', [inPlane, planes])], { to: TYPE_CODES.int64 });
}

/**
 * A transposed convolution as a convolution with the reversed kernel. What it sees of x along an axis are its values, `stride`
 * places apart, and zeros; the latter stand as one more value behind x.
 */
function transposed(
  g: GraphBuilder,
  [x, w, bias = null]: readonly (Value | null)[],
  window: Required<Window>,
  group: number,
  output_padding: readonly number[],
): Value {
  const { kernel_shape, strides, pads, dilations } = window;
  const spread = kernel_shape.reduce((values, kernel, i) => {
    const sizes = knownShape(values.shape, 'ConvTranspose');
    const count = sizes[2 + i]!;
    const shape = sizes.map((size, axis) => (axis === 2 + i ? 1 : size));
    const reach = (kernel - 1) * dilations[i]!;
    const more = (output_padding[i] ?? 0) - pads[i]! - pads[i + kernel_shape.length]!;
    const length = (count - 1) * strides[i]! + 1 + 2 * reach + more;
    const places = BigInt64Array.from({ length }, (_, o) => {
      const place = (o - reach + pads[i]!) / strides[i]!;
      return BigInt(Number.isInteger(place) && place >= 0 && place < count ? place : count);
    });
    const withZeros = g.add('Concat', [values, g.full(0, shape, values.type)], { axis: 2 + i });
    const indices = g.constant({ type: 'int64', shape: [places.length], data: places });
    return g.add('Gather', [withZeros, indices], { axis: 2 + i });
  }, x!);
  const kernel = reversed(g, exchanged(g, w!, group));
  return g.add('Conv', bias ? [spread, kernel, bias] : [spread, kernel], {
    kernel_shape,
    dilations,
    group,
  });
}

/**
 * A Slice whose steps along some axes are below −1. Unless those steps divide its range, ONNX Runtime takes other places than it
 * should, without a word.
 */
function slicedBackwards(g: GraphBuilder, [x, ...operands]: readonly (Value | null)[]): Value | null {
  if (!operands.every((value) => value && g.isConstant(value))) return null;
  const [starts, ends, axes, steps] = operands.map((value) => Array.from(g.tensorOf(value!).data, Number));
  if (!steps?.some((step) => step < -1)) return null;
  return steps.reduce((values, step, i) => {
    const [from, to, axis] = [starts![i]!, ends![i]!, axes![i]!];
    if (step >= -1) return g.slice(values, [from], [to], [axis], [step]);
    const size = knownShape(x!.shape, 'Slice').at(axis)!;
    const { start, count } = sliced(size, from, to, step);
    const places = Array.from({ length: count }, (_, o) => start + o * step);
    return g.add('Gather', [values, g.integers(places)], { axis });
  }, x!);
}

const replace: Replace = (g, node, inputs) => {
  const operator = findOperator(node);
  const [name] = node.outputs;
  const isVolume = inputs[0]?.shape.length === 5;
  if (operator === 'MaxPool' && node.outputs.length > 1) {
    const y = g.copy({ ...node, outputs: [name!] }, inputs)[0]!;
    const window = resolveWindow(attributesOf(node, operator), []);
    return [y, g.scope(name!, () => placesOf(g, inputs[0]!, y, window))];
  }
  if (operator === 'ConvTranspose' && isVolume) {
    const { group, output_padding = [], ...given } = attributesOf(node, operator);
    const window = resolveWindow(given, knownShape(inputs[1]!.shape, operator).slice(2));
    return [g.scope(name!, () => transposed(g, inputs, window, group, output_padding))];
  }
  const backwards = operator === 'Slice' ? g.scope(name!, () => slicedBackwards(g, inputs)) : null;
  return backwards && [backwards];
};

export const forWebgpu = (graph: Graph): Graph => rebuild(graph, (input) => input, replace);
