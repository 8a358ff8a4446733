/**
 * Gradients of convolutions as single products of matrices, for feature maps that are small beside the weights: nothing as large
 * as the weights is rearranged. What each voxel of a window sees (im2col) is read by one Gather, and so is what it gives (col2im).
 */
import type { GraphBuilder } from '../../onnx/builder.js';
import { tapsOf } from '../../onnx/ops/spatial.js';
import { knownShape, sizeOf, type Value } from '../../onnx/types.js';
import type { PlainForm } from '../form.js';
import { timesTransposed, type WindowSizes } from './convolution.js';

const known = (value: Value) => knownShape(value.shape, 'a convolution');

/**
 * Whether a feature map [N,C,…] is small beside the weights of its convolutions, with fewer positions than half of its channels: then it
 * takes longer to rearrange the weights than to multiply by them.
 */
export const isSmallMap = ([n, c, ...sizes]: Value['shape']): boolean =>
  2 * sizeOf([n, ...sizes] as number[]) <= (c as number);

/** Offset of a position in an array of these sizes, last axis fastest. */
const offsetOf = (position: readonly number[], sizes: readonly number[]) =>
  position.reduce((offset, p, i) => offset * sizes[i]! + p, 0);

/** For every tap, and every position of the output, the offset of the voxel that the tap sees there; −1 in the padding. */
function seenOffsets(
  { kernel_shape, strides, pads }: WindowSizes,
  input: readonly number[],
  output: readonly number[],
): number[][] {
  const positions = tapsOf(output);
  return tapsOf(kernel_shape).map((tap) =>
    positions.map((position) => {
      const seen = position.map((p, i) => p * strides[i]! + tap[i]! - pads[i]!);
      return seen.every((s, i) => s >= 0 && s < input[i]!) ? offsetOf(seen, input) : -1;
    }),
  );
}

/** x [N,C,…] → [C,N·positions]. */
function channelRows(g: GraphBuilder, x: Value): Value {
  const [n, c, ...sizes] = known(x) as [number, number, ...number[]];
  const positions = sizeOf(sizes);
  const rows = g.reshape(x, [n, c, positions]);
  return g.reshape(n === 1 ? rows : g.transpose(rows, [1, 0, 2]), [c, n * positions]);
}

/** x [N,C,…] → [N·positions,C]. */
function positionRows(g: GraphBuilder, x: Value): Value {
  const [n, c, ...sizes] = known(x) as [number, number, ...number[]];
  const positions = sizeOf(sizes);
  return g.reshape(g.transpose(g.reshape(x, [n, c, positions]), [0, 2, 1]), [n * positions, c]);
}

/** Rows of a matrix by their numbers; zeros for −1. Whole rows are many times as fast to gather as columns. */
function rowsOrZeros(g: GraphBuilder, matrix: Value, numbers: readonly number[]): Value {
  const rows = matrix.shape[0] as number;
  const source = numbers.includes(-1) ? g.add('Pad', [matrix, g.integers([0, 0, 1, 0])]) : matrix;
  const indices = g.integers(numbers.map((number) => (number < 0 ? rows : number)));
  return g.add('Gather', [source, indices]);
}

/** For each of N samples the offsets in a row of all samples. */
const ofSamples = (offsets: readonly number[], n: number, length: number): number[] =>
  Array.from({ length: n }, (_, i) =>
    offsets.map((offset) => (offset < 0 ? -1 : offset + i * length)),
  ).flat();

/** dw[k,(c,t)] = Σ_n,p dy[k,(n,p)] · x̃[(c,t),(n,p)]: the product has the order of the weights. */
export const convWeightGradColumns: PlainForm<'ConvWeightGrad'> = {
  applies: ({ inputs: [, dy] }) => isSmallMap(dy!.shape),
  build(g, { inputs: [x, dy], attributes, blocked }) {
    const [n, c, ...input] = known(x!) as [number, number, ...number[]];
    const [, k, ...output] = known(dy!) as [number, number, ...number[]];
    const taps = seenOffsets(attributes, input, output);
    const seen = rowsOrZeros(
      g,
      positionRows(g, x!),
      taps.flatMap((offsets) => ofSamples(offsets, n, sizeOf(input))),
    );
    const columns = g.reshape(g.transpose(seen, [1, 0]), [c * taps.length, n * sizeOf(output)]);
    const product = timesTransposed(g, channelRows(g, dy!), columns, blocked);
    return [g.reshape(product, [k, c, ...attributes.kernel_shape])];
  },
};

/** dx̃[(n,p),(c,t)] = Σ_k dy[k,(n,p)] · w[k,(c,t)], of which every voxel adds up what its taps give. */
export const convInputGradColumns: PlainForm<'ConvInputGrad'> = {
  applies: ({ inputs: [dy] }) => isSmallMap(dy!.shape),
  build(g, { inputs: [dy, w], attributes }) {
    const [n, c, ...input] = attributes.input_shape as readonly [number, number, ...number[]];
    const [, k, ...output] = known(dy!) as [number, number, ...number[]];
    const [voxels, positions] = [sizeOf(input), sizeOf(output)];
    const taps = seenOffsets(attributes, input, output);
    const given: number[][] = Array.from({ length: voxels }, () => []);
    for (const [t, offsets] of taps.entries())
      for (const [p, voxel] of offsets.entries()) if (voxel >= 0) given[voxel]!.push(t * n * positions + p);
    const most = given.reduce((max, { length }) => Math.max(max, length), 0);
    const product = g.add('MatMul', [positionRows(g, dy!), g.reshape(w!, [k, c * taps.length])]);
    const parts = g.transpose(g.reshape(product, [n * positions, c, taps.length]), [2, 0, 1]);
    const numbers = Array.from({ length: most }, (_, i) =>
      ofSamples(
        given.map((all) => all[i] ?? -1),
        n,
        positions,
      ),
    ).flat();
    const seen = rowsOrZeros(g, g.reshape(parts, [taps.length * n * positions, c]), numbers);
    const sums = g.reshape(g.sum(g.reshape(seen, [most, n * voxels, c]), [0], 0), [n, voxels, c]);
    return [g.reshape(g.transpose(sums, [0, 2, 1]), [n, c, ...input])];
  },
};
