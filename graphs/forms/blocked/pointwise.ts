/** 1×1×1 convolutions from slice pairs to fewer channels than a block: the head of the network. */
import type { GraphBuilder } from '../../onnx/builder.js';
import { resolveWindow } from '../../onnx/ops/spatial.js';
import type { Value } from '../../onnx/types.js';
import type { BlockedForm } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import type { WindowSizes } from '../reference/convolution.js';
import { joined, unblocked } from './nchwc.js';
import {
  chunkRanges,
  everySecond,
  fitsSlicePairs,
  halvesOf,
  type MapShape,
  mapHalves,
  type Pair,
  type SlicePairs,
  shapeOf,
  total,
} from './slice-pairs.js';

/** A kernel of one voxel that leaves the size as it is. */
const isPointwise = ({ kernel_shape, strides, pads }: WindowSizes): boolean =>
  [...kernel_shape, ...strides].every((size) => size === 1) && pads.every((p) => p === 0);

/** dy [N,K,D,H,W] as halves [S,K,H,W], not blocked, cut as feature maps of that size. */
function thinHalves(g: GraphBuilder, dy: Value, blocked: BlockedLayout): SlicePairs {
  const shape = shapeOf(dy);
  const [n, k, d, h, w] = shape;
  const slices = g.reshape(g.transpose(g.reshape(dy, [n, k, d, h * w]), [2, 0, 1, 3]), [d, n, k, h, w]);
  const chunks = chunkRanges(shape, blocked).map(([from, to]) => {
    const half = (parity: 0 | 1) => everySecond(g, slices, 2 * from + parity, to - from);
    return { even: half(0), odd: half(1) };
  });
  return { chunks, shape };
}

export const pointwiseBlocked: BlockedForm<'Conv'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x, w], attributes, blocked }) =>
    isPointwise(resolveWindow(attributes, w!.shape.slice(2))) &&
    attributes.group === 1 &&
    fitsSlicePairs(x!.shape, blocked) &&
    (w!.shape[0] as number) < blocked!.block,
  build(g, { inputs, blocked }, operands) {
    const { block } = blocked!;
    const { chunks, shape } = operands.slicePairs(0);
    const [n, c, d, h, w] = shape;
    const k = operands.plain(1).shape[0] as number;
    const missing = block - k;
    const rows = g.add('Pad', [g.reshape(operands.plain(1), [k, c]), g.integers([0, 0, missing, 0])]);
    const weights = g.reshape(g.transpose(rows, [1, 0]), [block, c, 1, 1]);
    const bias = inputs[2] ? g.add('Pad', [operands.plain(2), g.integers([0, missing])]) : null;
    const half = (x: Value) =>
      unblocked(g, g.add('BlockedConv', [x, weights, bias], { kernel_shape: [1, 1] }), k);
    const parity = (which: keyof Pair) => {
      const parts = chunks.map((pair) => half(pair[which]));
      return g.reshape(joined(g, parts, 0), [d / 2, 1, n, k, h * w]);
    };
    const slices = g.add('Concat', [parity('even'), parity('odd')], { axis: 1 });
    const ordered = g.transpose(g.reshape(slices, [d, n, k, h * w]), [1, 2, 0, 3]);
    return [g.reshape(ordered, [n, k, d, h, w])];
  },
};

export const pointwiseInputGradBlocked: BlockedForm<'ConvInputGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [dy], attributes, blocked }) =>
    isPointwise(attributes) &&
    fitsSlicePairs(attributes.input_shape, blocked) &&
    (dy!.shape[1] as number) < blocked!.block,
  build(g, { attributes: { input_shape }, blocked }, operands) {
    const w = operands.plain(1);
    const [k, c] = w.shape as [number, number];
    const blocks = g.reshape(w, [k, c / blocked!.block, blocked!.block]);
    const weights = g.reshape(g.transpose(blocks, [1, 0, 2]), [c, k, 1, 1]);
    const spread = (half: Value) => g.add('BlockedConv', [half, weights], { kernel_shape: [1, 1] });
    const dy = thinHalves(g, operands.plain(0), blocked!);
    return [mapHalves([dy], spread, input_shape as unknown as MapShape)];
  },
};

/** dw[k,c] = Σ_p dy[k,p] · x[c,p], block by block of channels. */
export const pointwiseWeightGradBlocked: BlockedForm<'ConvWeightGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x, dy], attributes, blocked }) =>
    isPointwise(attributes) && fitsSlicePairs(x!.shape, blocked) && (dy!.shape[1] as number) < blocked!.block,
  build(g, { blocked }, operands) {
    const { block } = blocked!;
    const x = operands.slicePairs(0);
    const dy = thinHalves(g, operands.plain(1), blocked!);
    const [, c, , h, w] = x.shape;
    const k = dy.shape[1];
    const given = halvesOf(dy);
    const products = halvesOf(x).map((half, i) => {
      const slices = half.shape[0] as number;
      const gradient = g.reshape(given[i]!, [slices, 1, k, h * w]);
      const seen = g.reshape(half, [slices, c / block, h * w, block]);
      return g.sum(g.add('MatMul', [gradient, seen]), [0], 0);
    });
    return [g.reshape(g.transpose(total(g, products), [1, 0, 2]), [k, c, 1, 1, 1])];
  },
};
