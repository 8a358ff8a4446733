/**
 * A *form* is one way to compute an operator with ONNX operators: what other libraries call a kernel variant, written as a
 * small graph. All forms of an operator give the same values, up to rounding; they differ in speed, and in what they need.
 *
 * - `reference/`: forms on tensors as ONNX has them, in standard operators. The one called `plain` is the definition: every
 *   operator has it, and it always applies.
 * - `blocked/`: forms on slice pairs, in ONNX Runtime's blocked layout. They need an engine that has that layout.
 * - `gpu/`: forms in standard operators that suit a GPU: few and large kernels, and none that ONNX Runtime's CUDA provider is
 *   slow at.
 *
 * Here is the table of all forms, and what is known of their speed.
 */
import type { HighLevelName, OperatorName } from '../onnx/ops/index.js';
import {
  batchNormBlocked,
  batchNormGradBlocked,
  channelAffineBlocked,
  channelSumBlocked,
} from './blocked/batch-norm.js';
import {
  convBlocked,
  convInputGradBlocked,
  convReluBlocked,
  convReluBlockedF43,
  convReluBoth,
  convReluWhole,
  convWeightGradBlocked,
} from './blocked/convolution.js';
import { addBlocked, reluBlocked } from './blocked/elementwise.js';
import {
  convFirstBlocked,
  convReluFirstBlocked,
  convReluFirstHalfBlock,
  convReluFirstWhole,
  convWeightGradFirstBlocked,
} from './blocked/first-convolution.js';
import {
  convHalving,
  convInputGradHalving,
  convTransposeBlocked,
  convWeightGradHalving,
} from './blocked/halving-convolution.js';
import { maxPoolBlocked, maxPoolGradBlocked } from './blocked/max-pool.js';
import {
  pointwiseBlocked,
  pointwiseInputGradBlocked,
  pointwiseWeightGradBlocked,
} from './blocked/pointwise.js';
import {
  upsampleConvBlocked,
  upsampleConvInputGradBlocked,
  upsampleConvWeightGradBlocked,
} from './blocked/upsample-convolution.js';
import type { Call, Form } from './form.js';
import { convWeightGradBatched } from './gpu/convolution.js';
import { maxPoolGradBroadcast } from './gpu/max-pool.js';
import { stridedForward, stridedInputGrad, stridedWeightGrad } from './gpu/upsample-convolution.js';
import {
  batchNorm,
  batchNormAtOnce,
  batchNormGrad,
  batchNormGradAtOnce,
  channelAffine,
} from './reference/batch-norm.js';
import { convInputGradColumns, convWeightGradColumns } from './reference/columns.js';
import {
  convInputGrad,
  convWeightGradFlat,
  convWeightGradSlices,
  convWeightGradStacked,
} from './reference/convolution.js';
import { maxPoolGradMask, maxPoolGradScatter } from './reference/max-pool.js';
import { asItIs, channelSum, convRelu } from './reference/standard.js';
import {
  convInputGradPhases,
  convTransposeColumns,
  convTransposePhases,
} from './reference/transposed-convolution.js';
import {
  phasesForward,
  phasesInputGrad,
  phasesWeightGrad,
  plainForward,
  plainInputGrad,
  plainWeightGrad,
} from './reference/upsample-convolution.js';

/** Operators that have forms: those that must be lowered, and ONNX operators with faster equivalents. */
export type FormedName = HighLevelName | 'Add' | 'Conv' | 'ConvTranspose' | 'MaxPool' | 'Relu';

/** Every form of every operator, by its name. */
export const forms: {
  readonly [K in FormedName]: Readonly<Record<'plain', Form<K>> & Record<string, Form<K>>>;
} = {
  Add: { plain: asItIs('Add'), blocked: addBlocked },
  Relu: { plain: asItIs('Relu'), blocked: reluBlocked },
  Conv: {
    plain: asItIs('Conv'),
    blocked: convBlocked,
    blockedFirst: convFirstBlocked,
    blockedHalving: convHalving,
    blockedLast: pointwiseBlocked,
  },
  ConvRelu: {
    plain: convRelu,
    blocked: convReluBlocked,
    both: convReluBoth,
    blockedF43: convReluBlockedF43,
    blockedFirst: convReluFirstBlocked,
    firstHalfBlock: convReluFirstHalfBlock,
    firstWhole: convReluFirstWhole,
    whole: convReluWhole,
  },
  ConvInputGrad: {
    plain: convInputGrad,
    columns: convInputGradColumns,
    phases: convInputGradPhases,
    blocked: convInputGradBlocked,
    blockedHalving: convInputGradHalving,
    blockedLast: pointwiseInputGradBlocked,
  },
  ConvWeightGrad: {
    plain: convWeightGradSlices,
    columns: convWeightGradColumns,
    flat: convWeightGradFlat,
    stacked: convWeightGradStacked,
    batched: convWeightGradBatched,
    blocked: convWeightGradBlocked,
    blockedFirst: convWeightGradFirstBlocked,
    blockedHalving: convWeightGradHalving,
    blockedLast: pointwiseWeightGradBlocked,
  },
  ConvTranspose: {
    plain: asItIs('ConvTranspose'),
    columns: convTransposeColumns,
    phases: convTransposePhases,
    blocked: convTransposeBlocked,
  },
  UpsampleConv: {
    plain: plainForward,
    phases: phasesForward,
    strided: stridedForward,
    blocked: upsampleConvBlocked,
  },
  UpsampleConvInputGrad: {
    plain: plainInputGrad,
    phases: phasesInputGrad,
    strided: stridedInputGrad,
    blocked: upsampleConvInputGradBlocked,
  },
  UpsampleConvWeightGrad: {
    plain: plainWeightGrad,
    phases: phasesWeightGrad,
    strided: stridedWeightGrad,
    blocked: upsampleConvWeightGradBlocked,
  },
  BatchNorm: { plain: batchNorm, atOnce: batchNormAtOnce, blocked: batchNormBlocked },
  BatchNormGrad: { plain: batchNormGrad, atOnce: batchNormGradAtOnce, blocked: batchNormGradBlocked },
  ChannelAffine: { plain: channelAffine, blocked: channelAffineBlocked },
  ChannelSum: { plain: channelSum, blocked: channelSumBlocked },
  MaxPool: { plain: asItIs('MaxPool'), blocked: maxPoolBlocked },
  MaxPoolGrad: {
    plain: maxPoolGradScatter,
    mask: maxPoolGradMask,
    broadcast: maxPoolGradBroadcast,
    blocked: maxPoolGradBlocked,
  },
};

export const hasForms = (operator: OperatorName): operator is FormedName => operator in forms;

/** Names the form for one call. */
export type ChooseForm = (operator: FormedName, call: Call<OperatorName>) => string;

/** The definition of everything. */
export const plainForms: ChooseForm = () => 'plain';

/** For each operator the forms that were measured to be faster, best first; `plain` where none applies. */
type Preferences = Readonly<Partial<Record<FormedName, readonly string[]>>>;

/** On processors. */
const PREFERRED: Preferences = {
  Add: ['blocked'],
  Relu: ['blocked'],
  Conv: ['blockedFirst', 'blocked', 'blockedHalving', 'blockedLast'],
  ConvRelu: ['firstWhole', 'blockedFirst', 'firstHalfBlock', 'both', 'whole', 'blockedF43', 'blocked'],
  ConvInputGrad: ['columns', 'blocked', 'blockedHalving', 'blockedLast', 'phases'],
  ConvWeightGrad: ['columns', 'blockedFirst', 'blocked', 'blockedHalving', 'blockedLast', 'flat', 'stacked'],
  ConvTranspose: ['columns', 'blocked', 'phases'],
  UpsampleConv: ['blocked', 'phases'],
  UpsampleConvInputGrad: ['blocked', 'phases'],
  UpsampleConvWeightGrad: ['blocked', 'phases'],
  BatchNorm: ['blocked'],
  BatchNormGrad: ['blocked'],
  ChannelAffine: ['blocked'],
  ChannelSum: ['blocked'],
  MaxPool: ['blocked'],
  MaxPoolGrad: ['blocked', 'mask'],
};

/** On NVIDIA GPUs. */
const PREFERRED_ON_GPU: Preferences = {
  ConvWeightGrad: ['batched'],
  UpsampleConv: ['strided'],
  UpsampleConvInputGrad: ['strided'],
  UpsampleConvWeightGrad: ['strided'],
  BatchNorm: ['atOnce'],
  BatchNormGrad: ['atOnce'],
  MaxPoolGrad: ['broadcast'],
};

/** A form by its name; undefined where the operator has none of that name. */
export const formOf = (operator: FormedName, name: string): Form<never> | undefined =>
  (forms[operator] as Readonly<Record<string, Form<never>>>)[name];

/** Whether a form can serve a call. */
function serves(operator: FormedName, name: string, call: Call<OperatorName>): boolean {
  const { layout, applies } = formOf(operator, name)!;
  // ONNX Runtime's blocked kernels know float32 only.
  const single = call.inputs[0]?.type === 'float32';
  return (single || layout !== 'slicePairs') && (applies?.(call as Call<never>) ?? true);
}

/**
 * The forms that can serve a call on a processor: those that were measured to be faster, best first, then all others, but
 * for those that are for GPUs.
 */
export function candidatesFor(operator: FormedName, call: Call<OperatorName>): string[] {
  const names = new Set([...(PREFERRED[operator] ?? []), ...Object.keys(forms[operator])]);
  for (const name of PREFERRED_ON_GPU[operator] ?? []) names.delete(name);
  return [...names].filter((name) => serves(operator, name, call));
}

/**
 * Operators that do little with each value, and the inputs whose layout they take as it is: to change it for such an operator alone takes
 * longer than is won.
 */
const FOLLOWING: Readonly<Partial<Record<FormedName, readonly number[]>>> = {
  Add: [0, 1],
  Relu: [0],
  BatchNorm: [0],
  // As the normalisation itself: x, centred, is what that has made.
  BatchNormGrad: [2],
  ChannelAffine: [0],
  ChannelSum: [0],
  MaxPool: [0],
  MaxPoolGrad: [0],
};

/** The fastest known form that applies. */
export const fastForms: ChooseForm = (operator, call) => {
  const { layouts } = call;
  const isPlain = layouts && FOLLOWING[operator]?.some((i) => layouts[i] === 'plain');
  return candidatesFor(operator, call).find(
    (name) => !isPlain || formOf(operator, name)!.layout !== 'slicePairs',
  )!;
};

/** The same on a GPU. */
export const gpuForms: ChooseForm = (operator, call) =>
  PREFERRED_ON_GPU[operator]?.find((name) => serves(operator, name, call)) ?? 'plain';
