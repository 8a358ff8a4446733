/** Winograd's filtering along depth, as in `winograd.ts`, of small feature maps: in as few operators as possible. */
import { type MapShape, ofWhole, wholeOf } from './slice-pairs.js';
import { type DepthFiltering, IN_PLANE } from './winograd.js';

type Matrix = readonly (readonly number[])[];

/** Winograd's filtering of slices d with taps g as matrices: output · ((weights · g) ⊙ (input · d)). */
interface Matrices {
  readonly input: Matrix;
  readonly weights: Matrix;
  /** The second product is in every slice once: the bias is added to it. */
  readonly output: Matrix;
}

/** F(2,3). */
const TWO: Matrices = {
  input: [
    [1, 0, -1, 0],
    [0, 1, 1, 0],
    [0, -1, 1, 0],
    [0, -1, 0, 1],
  ],
  weights: [
    [1, 0, 0],
    [1 / 2, 1 / 2, 1 / 2],
    [1 / 2, -1 / 2, 1 / 2],
    [0, 0, 1],
  ],
  output: [
    [1, 1, 1, 0],
    [0, 1, -1, 1],
  ],
};

/** F(4,3). */
const FOUR: Matrices = {
  input: [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
  ],
  weights: [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
  ],
  output: [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
  ],
};

/** Of all samples: more of them do not stay in the processor's cache. */
const FEW_VOXELS = 32 * 32 * 32;
/** With more of them, convolutions take long anyway, and arranging all weights of one together takes much memory. */
const FEW_CHANNELS = 64;

/** Whether starting operators takes a good part of the time that a feature map of this shape takes. */
export const isSmall = ([n, c, d, h, w]: MapShape): boolean =>
  n * d * h * w <= FEW_VOXELS && c <= FEW_CHANNELS;

/**
 * F(4,3), or F(2,3) where slices are not in fours: a product with a matrix along depth, which leaves out the slices beyond the ends; one
 * convolution with a group for each of Winograd's products; and a product with another matrix.
 */
export const winogradWhole: DepthFiltering = {
  applies: isSmall,
  convolve(g, x, taps, arrange, { bias, activation }, blocked) {
    const [n, c, d, h, w] = x.shape;
    const { input, weights, output } = d % 4 === 0 ? FOUR : TWO;
    const [step, products, groups] = [output.length, input.length, d / output.length];
    const k = (taps[0]!.shape[1] as number) / c;
    const matrix = (rows: Matrix) => g.floats(rows.flat(), [rows.length, rows[0]!.length]);
    const windows = Array.from({ length: groups }, (_, group) =>
      input.map((row) => Array.from({ length: d }, (_, slice) => row[slice + 1 - group * step] ?? 0)),
    );
    const seen = g.add('MatMul', [matrix(windows.flat()), g.reshape(wholeOf(g, x), [n, d, c * h * w])]);
    const arranged = taps.map((tap) => g.reshape(arrange(tap), [1, 9 * k * c]));
    const combined = g.add('MatMul', [matrix(weights), g.add('Concat', arranged, { axis: 0 })]);
    const kernels = g.reshape(combined, [products * k, c, 3, 3]);
    const second =
      bias && g.reshape(g.add('Pad', [g.reshape(bias, [1, k]), g.integers([1, 0, products - 2, 0])]), [-1]);
    const y = g.add(
      'BlockedConv',
      [g.reshape(seen, [n * groups, products * c, h, w]), kernels, ...(second ? [second] : [])],
      { ...IN_PLANE, group: products },
    );
    const sums = g.add('MatMul', [matrix(output), g.reshape(y, [n * groups, products, k * h * w])]);
    return ofWhole(g, activation ? g.add(activation, [sums]) : sums, [n, k, d, h, w], blocked);
  },
};
