/**
 * Convolutions of 2×2×2 voxels and stride 2, which halve a feature map, and their transposes, which double one, on slice pairs. Windows
 * do not overlap: a pair of slices makes one slice, or is made of one.
 */
import type { GraphBuilder } from '../../onnx/builder.js';
import { resolveWindow } from '../../onnx/ops/spatial.js';
import type { Value } from '../../onnx/types.js';
import type { BlockedForm } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import { isSmallMap } from '../reference/columns.js';
import type { WindowSizes } from '../reference/convolution.js';
import {
  blockedWeights,
  depthwise,
  type Product,
  phaseKernels,
  pixelShuffle,
  sumsOfProducts,
  tapsFirst,
  unblocked,
} from './nchwc.js';
import {
  allSlices,
  chunkRanges,
  fitsSlicePairs,
  type MapShape,
  type SlicePairs,
  slicesFrom,
  splitSlices,
  total,
} from './slice-pairs.js';

const isAll = (value: number, given: readonly number[]) => given.every((v) => v === value);

/** Whether windows of 2×2×2 tile the large feature map, and both can be slice pairs. */
function tilesPairs(
  { kernel_shape, strides, pads }: WindowSizes,
  large: Value['shape'],
  small: Value['shape'],
  blocked: BlockedLayout | null,
): boolean {
  return (
    [kernel_shape, strides].every((sizes) => sizes.join() === '2,2,2') &&
    isAll(0, pads) &&
    fitsSlicePairs(large, blocked) &&
    fitsSlicePairs(small, blocked) &&
    small.slice(2).every((size, i) => 2 * (size as number) === large[i + 2]) &&
    !isSmallMap(small)
  );
}

/** w [K,C,2,2,2] → for each slice of a pair the weights of its 2×2 taps, [4,K·C]. */
const depthTaps = (g: GraphBuilder, w: Value): Value[] =>
  g.addMany('Split', [tapsFirst(g, w), g.integers([4, 4])], { axis: 0 }, 2);

export const convHalving: BlockedForm<'Conv'> = {
  layout: 'slicePairs',
  applies({ inputs: [x, w], attributes, blocked }) {
    const [n, , ...sizes] = x!.shape;
    const small = [n!, w!.shape[0]!, ...sizes.map((size) => Math.floor((size as number) / 2))];
    const window = resolveWindow(attributes, w!.shape.slice(2));
    const isPlain = attributes.group === 1 && isAll(1, window.dilations);
    return isPlain && tilesPairs(window, x!.shape, small, blocked);
  },
  build(g, { inputs, blocked }, operands) {
    const [x, w] = [operands.slicePairs(0), operands.plain(1)];
    const [n, c, ...sizes] = x.shape;
    const k = w.shape[0] as number;
    const [first, second] = depthTaps(g, w).map((taps) =>
      blockedWeights(g, taps, blocked!.block, { outputs: k, inputs: c, kernel: [2, 2] }),
    ) as [Value, Value];
    const bias = inputs[2] ? operands.plain(2) : null;
    const window = { kernel_shape: [2, 2], strides: [2, 2] };
    const parts = x.chunks.map(({ even, odd }) =>
      g.add('BlockedConv', [odd, second, null, g.add('BlockedConv', [even, first, bias], window)], window),
    );
    const shape = [n, k, ...sizes.map((size) => size / 2)] as unknown as MapShape;
    return [splitSlices(g, parts, shape, blocked!)];
  },
};

/** The transpose: x [N,K,D,H,W], w [K,C,2,2,2] → [N,C,2D,2H,2W]; each tap is a phase of the output. */
function doubled(
  g: GraphBuilder,
  x: SlicePairs,
  [w, bias]: readonly [Value, Value | null],
  blocked: BlockedLayout,
): SlicePairs {
  const [n, inputs, ...sizes] = x.shape;
  const outputs = w.shape[1] as number;
  const spec = { outputs, inputs, kernel: [1, 1], transposed: true } as const;
  const kernels = g
    .addMany('Split', [tapsFirst(g, w), g.integers(new Array(8).fill(1))], { axis: 0 }, 8)
    .map((tap) => blockedWeights(g, tap, blocked.block, spec));
  const all = allSlices(g, x);
  const shape = [n, outputs, ...sizes.map((size) => 2 * size)] as unknown as MapShape;
  const chunks = chunkRanges(shape, blocked).map(([from, to]) => {
    const slices = slicesFrom(g, all, n, from, to);
    const half = (taps: readonly Value[]) => {
      const phases = taps.map((kernel) =>
        g.add('BlockedConv', [slices, kernel, bias], { kernel_shape: [1, 1] }),
      );
      return pixelShuffle(g, phases, blocked.block);
    };
    return { even: half(kernels.slice(0, 4)), odd: half(kernels.slice(4)) };
  });
  return { chunks, shape };
}

export const convInputGradHalving: BlockedForm<'ConvInputGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [dy], attributes, blocked }) =>
    tilesPairs(attributes, attributes.input_shape, dy!.shape, blocked),
  build: (g, { blocked }, operands) => [
    doubled(g, operands.slicePairs(0), [operands.plain(1), null], blocked!),
  ],
};

export const convTransposeBlocked: BlockedForm<'ConvTranspose'> = {
  layout: 'slicePairs',
  applies({ inputs: [x, w], attributes, blocked }) {
    const [n, , ...sizes] = x!.shape;
    const large = [n!, w!.shape[1]!, ...sizes.map((size) => 2 * (size as number))];
    const { group, output_padding = [] } = attributes;
    const window = resolveWindow(attributes, w!.shape.slice(2));
    const isPlain = group === 1 && isAll(1, window.dilations) && isAll(0, output_padding);
    return isPlain && tilesPairs(window, large, x!.shape, blocked);
  },
  build: (g, { inputs, blocked }, operands) => [
    doubled(g, operands.slicePairs(0), [operands.plain(1), inputs[2] ? operands.plain(2) : null], blocked!),
  ],
};

/** dw[k,c,t] = Σ_p dy[k,p] · x[c,2p+t]: one product a tap, with the phase of x that it saw. */
export const convWeightGradHalving: BlockedForm<'ConvWeightGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x, dy], attributes, blocked }) => tilesPairs(attributes, x!.shape, dy!.shape, blocked),
  build(g, { blocked }, operands) {
    const [x, dy] = [operands.slicePairs(0), operands.slicePairs(1)];
    const [n, c] = x.shape;
    const k = dy.shape[1];
    const kernels = phaseKernels(g, c, blocked!.block);
    const all = allSlices(g, dy);
    const products = chunkRanges(x.shape, blocked!).map((range, i) => {
      const { even, odd } = x.chunks[i]!;
      const given = unblocked(g, slicesFrom(g, all, n, ...range));
      const seen = [even, odd].flatMap((half) =>
        kernels.map((kernel) => unblocked(g, depthwise(g, half, kernel, { stride: 2 }))),
      );
      return sumsOfProducts(
        g,
        seen.map((phase): Product[] => [[given, phase]]),
      );
    });
    return [g.reshape(g.transpose(total(g, products), [1, 0]), [k, c, 2, 2, 2])];
  },
};
