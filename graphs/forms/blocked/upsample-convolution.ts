/**
 * Nearest up-sampling ×2 and a 3×3×3 convolution, on slice pairs; see ../reference/upsample-convolution.ts for the phases.
 *
 * Along depth, with taps w₀, w₁, w₂ and their sum S, the two slices made of slice i are
 *   even = w₀·xᵢ₋₁ + (w₁+w₂)·xᵢ = S·xᵢ + w₀·(xᵢ₋₁ − xᵢ),
 *   odd = (w₀+w₁)·xᵢ + w₂·xᵢ₊₁ = S·xᵢ + w₂·(xᵢ₊₁ − xᵢ):
 * they share S·xᵢ, so three products do instead of four. Within a slice each phase is a 2×2 convolution.
 */
import type { GraphBuilder } from '../../onnx/builder.js';
import { knownShape, type Value } from '../../onnx/types.js';
import type { BlockedForm } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import { FOLD } from '../reference/upsample-convolution.js';
import {
  blockedWeights,
  depthwise,
  PHASES,
  type Product,
  phaseKernels,
  pixelShuffle,
  sameKernel,
  sumsOfProducts,
  tapsFirst,
  unblocked,
} from './nchwc.js';
import {
  allSlices,
  chunkRanges,
  fitsSlicePairs,
  neighbours,
  type Pair,
  slicesFrom,
  splitSlices,
  total,
} from './slice-pairs.js';

/** What each voxel 2i−1 … 2i+2 of the output's gradient is multiplied with: its gradient towards voxel i. */
const GATHER = [
  [0, 0, 1],
  [0, 1, 1],
  [1, 1, 0],
  [1, 0, 0],
] as const;

/** The products of two axes' rows, as a constant [rows·rows, 9]. */
function outer(
  g: GraphBuilder,
  rows: readonly (readonly number[])[],
  columns: readonly (readonly number[])[],
): Value {
  const data = rows.flatMap((r) => columns.flatMap((c) => r.flatMap((a) => c.map((b) => a * b))));
  const shape = [rows.length * columns.length, 9];
  return g.constant({ type: 'float32', shape, data: Float32Array.from(data) });
}

/** w [K,C,3,3,3] as S, w₀ and w₂ (see above), each [9,K·C]. */
function depthBasis(g: GraphBuilder, w: Value): { sum: Value; first: Value; last: Value } {
  const taps = g.addMany('Split', [tapsFirst(g, w), g.integers([9, 9, 9])], { axis: 0 }, 3);
  const [first, middle, last] = taps as [Value, Value, Value];
  return { sum: g.add('Add', [g.add('Add', [first, last]), middle]), first, last };
}

/** Whether the small and the large feature map can be slice pairs. */
const fits = (
  small: readonly (number | string)[],
  channels: number | string,
  blocked: BlockedLayout | null,
): boolean => fitsSlicePairs(small, blocked) && (channels as number) % blocked!.block === 0;

export const upsampleConvBlocked: BlockedForm<'UpsampleConv'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x, w], blocked }) => fits(x!.shape, w!.shape[0]!, blocked),
  build(g, { inputs, blocked }, operands) {
    const x = operands.slicePairs(0);
    const w = operands.plain(1);
    const [n, c, d, height, width] = x.shape;
    const k = w.shape[0] as number;
    const bias = inputs[2] ? operands.plain(2) : null;
    const basis = depthBasis(g, w);
    const kernels = PHASES.map(([row, column]) => {
      const fold = outer(g, FOLD[row]!, FOLD[column]!);
      const kernel = (taps: Value) =>
        blockedWeights(g, g.add('MatMul', [fold, taps]), blocked!.block, {
          outputs: k,
          inputs: c,
          kernel: [2, 2],
        });
      return { sum: kernel(basis.sum), first: kernel(basis.first), last: kernel(basis.last) };
    });
    const all = allSlices(g, x);
    const shape = [n, k, 2 * d, 2 * height, 2 * width] as const;
    const chunks = chunkRanges(shape, blocked!).map(([from, to]) => {
      const slices = slicesFrom(g, all, n, from, to);
      const before = g.add('Sub', [slicesFrom(g, all, n, from - 1, to - 1), slices]);
      const after = g.add('Sub', [slicesFrom(g, all, n, from + 1, to + 1), slices]);
      const phases = PHASES.map(([row, column], i) => {
        const window = { kernel_shape: [2, 2], pads: [1 - row, 1 - column, row, column] };
        const { sum, first, last } = kernels[i]!;
        const shared = g.add('BlockedConv', [slices, sum, bias], window);
        return {
          even: g.add('BlockedConv', [before, first, null, shared], window),
          odd: g.add('BlockedConv', [after, last, null, shared], window),
        };
      });
      const half = (parity: keyof Pair) =>
        pixelShuffle(
          g,
          phases.map((p) => p[parity]),
          blocked!.block,
        );
      return { even: half('even'), odd: half('odd') };
    });
    return [{ chunks, shape }];
  },
};

/**
 * The transpose of the above: dxᵢ = Sᵀ(evenᵢ + oddᵢ) + w₀ᵀ(evenᵢ₊₁ − evenᵢ) + w₂ᵀ(oddᵢ₋₁ − oddᵢ), and within a slice
 * the four phases together are one 4×4 convolution of stride 2.
 */
export const upsampleConvInputGradBlocked: BlockedForm<'UpsampleConvInputGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [dy, w], blocked }) =>
    fits(
      [...dy!.shape.slice(0, 2), ...dy!.shape.slice(2).map((s) => (s as number) / 2)],
      w!.shape[1]!,
      blocked,
    ),
  build(g, { blocked }, operands) {
    const dy = operands.slicePairs(0);
    const w = operands.plain(1);
    const [k, c] = knownShape(w.shape, 'weights') as [number, number];
    const [n, , d, height, width] = dy.shape;
    const basis = depthBasis(g, w);
    const gather = outer(g, GATHER, GATHER);
    const kernel = (taps: Value) =>
      blockedWeights(g, g.add('MatMul', [gather, taps]), blocked!.block, {
        outputs: c,
        inputs: k,
        kernel: [4, 4],
        transposed: true,
      });
    const [sum, first, last] = [kernel(basis.sum), kernel(basis.first), kernel(basis.last)];
    const window = { kernel_shape: [4, 4], strides: [2, 2], pads: [1, 1, 1, 1] };
    const [evens, odds] = [dy.chunks.map((pair) => pair.even), dy.chunks.map((pair) => pair.odd)];
    const parts = dy.chunks.map(({ even, odd }, i) => {
      const shared = g.add('BlockedConv', [g.add('Add', [even, odd]), sum], window);
      const after = g.add('Sub', [neighbours(g, evens, i, n, 1), even]);
      const towards = g.add('BlockedConv', [after, first, null, shared], window);
      const before = g.add('Sub', [neighbours(g, odds, i, n, -1), odd]);
      return g.add('BlockedConv', [before, last, null, towards], window);
    });
    return [splitSlices(g, parts, [n, c, d / 2, height / 2, width / 2], blocked!)];
  },
};

/**
 * Along one axis: x itself, and the differences of the voxels before and after to it, as kernels with their padding;
 * they meet the sum of a voxel's two gradients, the first, and the second.
 */
const DIFFERENCES = [
  { taps: [1], before: 0, after: 0 },
  { taps: [1, -1], before: 1, after: 0 },
  { taps: [-1, 1], before: 0, after: 1 },
] as const;

/** The nine sums (see above) of a half's four phases: rows, then columns, each both, first, second. */
function phaseSums(g: GraphBuilder, half: Value, phases: readonly Value[]): Value[] {
  const [p00, p01, p10, p11] = phases.map((kernel) => depthwise(g, half, kernel, { stride: 2 })) as [
    Value,
    Value,
    Value,
    Value,
  ];
  const add = (a: Value, b: Value) => g.add('Add', [a, b]);
  const [first, second] = [add(p00, p01), add(p10, p11)];
  return [add(first, second), add(p00, p10), add(p01, p11), first, p00, p01, second, p10, p11];
}

/** Makes x itself and its differences along rows and columns, in the same order. The kernels are made once. */
function differencesOf(g: GraphBuilder, channels: number, block: number): (x: Value) => Value[] {
  const makers = DIFFERENCES.flatMap((row) =>
    DIFFERENCES.map((column) => {
      if (row.taps.length + column.taps.length === 2) return (x: Value) => x;
      const taps = row.taps.map((a) => column.taps.map((b) => a * b));
      const kernel = sameKernel(g, channels, block, taps);
      const pads = [row.before, column.before, row.after, column.after] as const;
      return (x: Value) => depthwise(g, x, kernel, { pads });
    }),
  );
  return (x) => makers.map((make) => make(x));
}

/** How the three products of an axis make up the gradients of w₀, w₁, w₂: S reaches all, the differences w₀ or w₂. */
const SPREAD = [
  [1, 1, 0],
  [1, 0, 0],
  [1, 0, 1],
] as const;

/**
 * dw in the basis of the depth formula above, taken along all three axes: 27 products of a combination of dy's
 * phases with x or a difference of neighbours, each over the positions of the small input.
 */
export const upsampleConvWeightGradBlocked: BlockedForm<'UpsampleConvWeightGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x, dy], blocked }) => fits(x!.shape, dy!.shape[1]!, blocked),
  build(g, { blocked }, operands) {
    const [x, dy] = [operands.slicePairs(0), operands.slicePairs(1)];
    const [n, c] = x.shape;
    const k = dy.shape[1];
    const { block } = blocked!;
    const phases = phaseKernels(g, k, block);
    const differences = differencesOf(g, c, block);
    const all = allSlices(g, x);
    const products = chunkRanges(dy.shape, blocked!).map(([from, to], i) => {
      const { even, odd } = dy.chunks[i]!;
      const [first, second] = [phaseSums(g, even, phases), phaseSums(g, odd, phases)];
      const both = first.map((v, j) => g.add('Add', [v, second[j]!]));
      const slices = slicesFrom(g, all, n, from, to);
      const difference = (step: number) =>
        g.add('Sub', [slicesFrom(g, all, n, from + step, to + step), slices]);
      const along = [
        [both, slices],
        [first, difference(-1)],
        [second, difference(1)],
      ] as const;
      const each = along.flatMap(([gradients, input]) =>
        differences(input).map((seen, j): Product[] => [[unblocked(g, gradients[j]!), unblocked(g, seen)]]),
      );
      return sumsOfProducts(g, each);
    });
    const spread = SPREAD.flatMap((z) =>
      SPREAD.flatMap((y) =>
        SPREAD.flatMap((q) => z.flatMap((a) => y.flatMap((b) => q.map((e) => a * b * e)))),
      ),
    );
    const matrix = g.constant({ type: 'float32', shape: [27, 27], data: Float32Array.from(spread) });
    const taps = g.add('MatMul', [matrix, total(g, products)]);
    return [g.reshape(g.transpose(taps, [1, 0]), [k, c, 3, 3, 3])];
  },
};
