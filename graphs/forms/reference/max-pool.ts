import { repeatVoxels } from '../../onnx/blocks.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import type { Call, PlainForm } from '../form.js';

/** dy scattered to where the forward pass found each window's first maximum. */
export const maxPoolGradScatter: PlainForm<'MaxPoolGrad'> = {
  build(g, { inputs: [x, , dy], attributes: { kernel_shape } }) {
    const [, indices] = g.addMany('MaxPool', [x!], { kernel_shape, strides: kernel_shape }, 2);
    const total = sizeOf(knownShape(x!.shape, 'MaxPool'));
    const count = sizeOf(knownShape(dy!.shape, 'MaxPool'));
    const zeros = g.add('Expand', [g.scalar(0, dy!.type), g.integers([total])]);
    const scattered = g.add('ScatterElements', [
      zeros,
      g.reshape(indices!, [count]),
      g.reshape(dy!, [count]),
    ]);
    return [g.reshape(scattered, knownShape(x!.shape, 'MaxPool'))];
  },
};

/** Windows of 2×2×2 along the last three axes. */
export const halves = ({ inputs: [x], attributes: { kernel_shape } }: Call<'MaxPoolGrad'>): boolean =>
  x!.shape.length === 5 && kernel_shape.join() === '2,2,2';

/**
 * dy at the first maximum of each window of 2×2×2, 0 elsewhere. Where some values are equal, as in a constant background, the earlier one
 * ranks higher.
 * x is pooled again: in mixed precision, an x that was computed again for the backward pass may differ from what y was made of.
 * @param enlarged maxima or dy [N,C,D,H,W] for all values of their windows: [N·C·D,2,H,2,W,2], or 1 in place of each 2
 */
export function atFirstMaxima(
  g: GraphBuilder,
  [x, dy]: readonly [x: Value, dy: Value],
  enlarged: (value: Value) => Value,
): Value {
  const [n, c, d, h, w] = knownShape(dy.shape, 'MaxPool') as [number, number, number, number, number];
  const zero = g.scalar(0, x.type);
  // As large as two slices: on processors, ONNX Runtime takes six times as long to repeat single values.
  const rank = g.add('Expand', [
    g.floats([8, 7, 6, 5, 4, 3, 2, 1], [1, 2, 1, 2, 1, 2], x.type),
    g.integers([1, 2, h, 2, w, 2]),
  ]);
  const below = g.add('Less', [
    g.reshape(x, [n * c * d, 2, h, 2, w, 2]),
    enlarged(g.add('MaxPool', [x], TWICE)),
  ]);
  const ranks = g.add('Where', [below, zero, rank]);
  const first = g.add('MaxPool', [g.reshape(ranks, knownShape(x.shape, 'MaxPool'))], TWICE);
  const others = g.add('Less', [ranks, enlarged(first)]);
  const dx = g.add('Where', [others, g.scalar(0, dy.type), enlarged(dy)]);
  return g.reshape(dx, knownShape(x.shape, 'MaxPool'));
}

const TWICE = { kernel_shape: [2, 2, 2], strides: [2, 2, 2] };

/** x is compared with the maximum, repeated over the window: ONNX Runtime takes long to find the places of maxima. */
export const maxPoolGradMask: PlainForm<'MaxPoolGrad'> = {
  applies: halves,
  build(g, { inputs: [x, , dy], attributes: { kernel_shape } }) {
    const [n, c, d, h, w] = knownShape(dy!.shape, 'MaxPool') as [number, number, number, number, number];
    const enlarged = (value: Value) =>
      g.reshape(repeatVoxels(g, value, kernel_shape), [n * c * d, 2, h, 2, w, 2]);
    return [atFirstMaxima(g, [x!, dy!], enlarged)];
  },
};
