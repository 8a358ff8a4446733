import { sumPool, upsampleNearest } from '../../onnx/blocks.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import { tapsOf } from '../../onnx/ops/spatial.js';
import { type ElementType, type FloatType, knownShape, type Value } from '../../onnx/types.js';
import type { PlainForm } from '../form.js';
import type { BlockedLayout } from '../layout.js';
import {
  convInputGrad,
  convWeightGradSlices,
  convWeightGradStacked,
  timesTransposed,
} from './convolution.js';
import { interleaved, phasesOf } from './phases.js';

const SAME = { kernel_shape: [3, 3, 3], strides: [1, 1, 1], pads: [1, 1, 1, 1, 1, 1] };
const TWICE = [2, 2, 2];
const known = (value: Value) => knownShape(value.shape, 'a convolution');

/** The definition: nearest up-sampling, then the convolution. */
export const plainForward: PlainForm<'UpsampleConv'> = {
  build: (g, { inputs: [x, w, bias] }) => [
    g.add('Conv', [upsampleNearest(g, x!, TWICE), w!, bias ?? null], SAME),
  ],
};

export const plainInputGrad: PlainForm<'UpsampleConvInputGrad'> = {
  build(g, { inputs: [dy, w], blocked }) {
    const [n, , ...sizes] = known(dy!);
    const input_shape = [n!, known(w!)[1]!, ...sizes];
    const [fine] = convInputGrad.build(g, {
      inputs: [dy!, w!],
      attributes: { ...SAME, input_shape },
      blocked,
    });
    return [sumPool(g, fine!, TWICE)];
  },
};

export const plainWeightGrad: PlainForm<'UpsampleConvWeightGrad'> = {
  build: (g, { inputs: [x, dy], blocked }) =>
    convWeightGradSlices.build(g, {
      inputs: [upsampleNearest(g, x!, TWICE), dy!],
      attributes: SAME,
      blocked,
    }),
};

/*
 * Phases. Along one axis, output 2i sees inputs i−1, i, i (the kernel's taps 0 | 1 and 2) and output 2i+1 sees
 * i, i, i+1 (taps 0 and 1 | 2). So each of the 8 phases of the output is a 2×2×2 convolution of the small input
 * with summed weights: 8/27 of the products, and the up-sampled tensor never exists.
 */
const PHASES = tapsOf(TWICE);
/** Which taps of 3 add up to each tap of 2: FOLD[phase][tap of 2][tap of 3]. */
export const FOLD = [
  [
    [1, 0, 0],
    [0, 1, 1],
  ],
  [
    [1, 1, 0],
    [0, 0, 1],
  ],
] as const;

/** The 64×27 matrix from a 3×3×3 kernel to the 2×2×2 kernels of all phases. */
function foldMatrix(g: GraphBuilder, type: ElementType): Value {
  const data = PHASES.flatMap((phase) =>
    tapsOf(TWICE).flatMap((small) =>
      tapsOf(SAME.kernel_shape).map((tap) =>
        tap.reduce(
          (product, t, axis) => product * FOLD[phase[axis]! as 0 | 1][small[axis]! as 0 | 1][t as 0 | 1 | 2],
          1,
        ),
      ),
    ),
  );
  return g.floats(data, [64, 27], type as FloatType);
}

/** w [K,C,3,3,3] → eight kernels [K,C,2,2,2], phase by phase. */
function phaseWeights(g: GraphBuilder, w: Value, blocked: BlockedLayout | null): Value[] {
  const [k, c] = known(w);
  const folded = timesTransposed(g, foldMatrix(g, w.type), g.reshape(w, [k! * c!, 27]), blocked);
  const stacked = g.reshape(folded, [8, 8, k!, c!]);
  const kernels = g.transpose(stacked, [0, 2, 3, 1]);
  const split = g.addMany('Split', [kernels, g.integers(PHASES.map(() => 1))], { axis: 0 }, 8);
  return split.map((kernel) => g.reshape(kernel, [k!, c!, 2, 2, 2]));
}

/** Phase 0 looks one voxel back, phase 1 one voxel ahead. */
const phasePads = (phase: readonly number[]) => [...phase.map((p) => 1 - p), ...phase];
/** dy [N,K,2D,2H,2W] → its eight phases [N,K,D,H,W]. */
function eightPhases(g: GraphBuilder, dy: Value): Value[] {
  const [n, k, ...sizes] = known(dy);
  const half = sizes.map((s) => s / 2);
  const all = g.reshape(phasesOf(g, dy, TWICE), [n!, k!, 8, ...half]);
  const phases = g.addMany('Split', [all, g.integers(PHASES.map(() => 1))], { axis: 2 }, 8);
  return phases.map((phase) => g.reshape(phase, [n!, k!, ...half]));
}

export const phasesForward: PlainForm<'UpsampleConv'> = {
  applies: ({ inputs: [x] }) => x!.shape.every((d) => typeof d === 'number'),
  build(g, { inputs: [x, w, bias], blocked }) {
    const [n, , ...sizes] = known(x!);
    const k = known(w!)[0]!;
    const kernels = phaseWeights(g, w!, blocked);
    const parts = PHASES.map((phase, i) => {
      const part = g.add('Conv', [x!, kernels[i]!, bias ?? null], {
        kernel_shape: TWICE,
        pads: phasePads(phase),
      });
      return g.reshape(part, [n!, k, 1, ...sizes]);
    });
    return [interleaved(g, g.reshape(g.add('Concat', parts, { axis: 2 }), [n!, k, ...TWICE, ...sizes]))];
  },
};

/** dx is the sum over the phases of each phase's input gradient. */
export const phasesInputGrad: PlainForm<'UpsampleConvInputGrad'> = {
  build(g, { inputs: [dy, w], blocked }) {
    const kernels = phaseWeights(g, w!, blocked);
    const [n, , ...sizes] = known(dy!);
    const input_shape = [n!, known(w!)[1]!, ...sizes.map((s) => s / 2)];
    const contributions = eightPhases(g, dy!).map((part, i) => {
      const attributes = {
        kernel_shape: TWICE,
        strides: [1, 1, 1],
        pads: phasePads(PHASES[i]!),
        input_shape,
      };
      return convInputGrad.build(g, { inputs: [part, kernels[i]!], attributes, blocked })[0]!;
    });
    return [contributions.reduce((sum, part) => g.add('Add', [sum, part]))];
  },
};

/** Each phase gives the gradient of its 2×2×2 kernel; the transpose of the folding matrix takes them back to 3×3×3. */
export const phasesWeightGrad: PlainForm<'UpsampleConvWeightGrad'> = {
  build(g, { inputs: [x, dy], blocked }) {
    const [c, k] = [known(x!)[1]!, known(dy!)[1]!];
    const gradients = eightPhases(g, dy!).map((part, i) => {
      const attributes = { kernel_shape: TWICE, strides: [1, 1, 1], pads: phasePads(PHASES[i]!) };
      const [dw] = convWeightGradStacked.build(g, { inputs: [x!, part], attributes, blocked });
      return g.reshape(dw!, [k * c, 8]);
    });
    const all = g.add('Concat', gradients, { axis: 1 });
    return [g.reshape(g.add('MatMul', [all, foldMatrix(g, all.type)]), [k, c, 3, 3, 3])];
  },
};
