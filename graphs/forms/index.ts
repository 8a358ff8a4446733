import type { HighLevelName, OperatorName } from '../onnx/ops/index.js';
import { addPlanes } from './blocked/add.js';
import {
  convFirstPlanes,
  convInputGradPlanes,
  convInputGradQuads,
  convPlanes,
  convQuads,
  convReluFirstPlanes,
  convReluPlanes,
  convReluQuads,
  convWeightGradFirstPlanes,
  convWeightGradPlanes,
} from './blocked/convolution.js';
import { maxPoolGradPlanes, maxPoolPlanes } from './blocked/max-pool.js';
import { pointwiseInputGradPlanes, pointwisePlanes, pointwiseWeightGradPlanes } from './blocked/pointwise.js';
import {
  upsampleConvInputGradPlanes,
  upsampleConvPlanes,
  upsampleConvWeightGradPlanes,
} from './blocked/upsample-convolution.js';
import type { Call, Form } from './form.js';
import {
  batchNorm,
  batchNormGrad,
  batchNormGradPlanes,
  batchNormPlanes,
  channelAffine,
  channelAffinePlanes,
} from './reference/batch-norm.js';
import {
  convInputGrad,
  convWeightGradFlat,
  convWeightGradSlices,
  convWeightGradStacked,
} from './reference/convolution.js';
import { maxPoolGradMask, maxPoolGradScatter } from './reference/max-pool.js';
import { asItIs, convRelu } from './reference/standard.js';
import {
  phasesForward,
  phasesInputGrad,
  phasesWeightGrad,
  plainForward,
  plainInputGrad,
  plainWeightGrad,
} from './reference/upsample-convolution.js';

/** Operators that have forms: those that must be lowered, and ONNX operators with faster equivalents. */
export type FormedName = HighLevelName | 'Add' | 'Conv' | 'MaxPool';

/** Every form of every operator. `plain` is the definition, and always applies. */
export const forms: {
  readonly [K in FormedName]: Readonly<Record<'plain', Form<K>> & Record<string, Form<K>>>;
} = {
  Add: { plain: asItIs('Add'), planes: addPlanes },
  Conv: {
    plain: asItIs('Conv'),
    planes: convPlanes,
    planesQuads: convQuads,
    planesFirst: convFirstPlanes,
    planesLast: pointwisePlanes,
  },
  ConvRelu: {
    plain: convRelu,
    planes: convReluPlanes,
    planesQuads: convReluQuads,
    planesFirst: convReluFirstPlanes,
  },
  ConvInputGrad: {
    plain: convInputGrad,
    planes: convInputGradPlanes,
    planesQuads: convInputGradQuads,
    planesLast: pointwiseInputGradPlanes,
  },
  ConvWeightGrad: {
    plain: convWeightGradSlices,
    flat: convWeightGradFlat,
    stacked: convWeightGradStacked,
    planes: convWeightGradPlanes,
    planesFirst: convWeightGradFirstPlanes,
    planesLast: pointwiseWeightGradPlanes,
  },
  UpsampleConv: { plain: plainForward, phases: phasesForward, planes: upsampleConvPlanes },
  UpsampleConvInputGrad: {
    plain: plainInputGrad,
    phases: phasesInputGrad,
    planes: upsampleConvInputGradPlanes,
  },
  UpsampleConvWeightGrad: {
    plain: plainWeightGrad,
    phases: phasesWeightGrad,
    planes: upsampleConvWeightGradPlanes,
  },
  BatchNorm: { plain: batchNorm, planes: batchNormPlanes },
  BatchNormGrad: { plain: batchNormGrad, planes: batchNormGradPlanes },
  ChannelAffine: { plain: channelAffine, planes: channelAffinePlanes },
  MaxPool: { plain: asItIs('MaxPool'), planes: maxPoolPlanes },
  MaxPoolGrad: { plain: maxPoolGradScatter, mask: maxPoolGradMask, planes: maxPoolGradPlanes },
};

export const hasForms = (operator: OperatorName): operator is FormedName => operator in forms;

/** Names the form for one call. */
export type ChooseForm = (operator: FormedName, call: Call<OperatorName>) => string;

/** The definition of everything. */
export const plainForms: ChooseForm = () => 'plain';

/** For each operator the forms that were measured to be faster, best first; `plain` where none applies. */
const PREFERRED: Readonly<Partial<Record<FormedName, readonly string[]>>> = {
  Add: ['planes'],
  Conv: ['planesFirst', 'planes', 'planesLast'],
  ConvRelu: ['planesFirst', 'planesQuads', 'planes'],
  ConvInputGrad: ['planes', 'planesLast'],
  ConvWeightGrad: ['planesFirst', 'planes', 'planesLast', 'flat', 'stacked'],
  UpsampleConv: ['planes', 'phases'],
  UpsampleConvInputGrad: ['planes', 'phases'],
  UpsampleConvWeightGrad: ['planes', 'phases'],
  BatchNorm: ['planes'],
  BatchNormGrad: ['planes'],
  ChannelAffine: ['planes'],
  MaxPool: ['planes'],
  MaxPoolGrad: ['planes', 'mask'],
};

/** The forms that can serve a call: those that were measured to be faster, best first, then all others. */
export function candidatesFor(operator: FormedName, call: Call<OperatorName>): string[] {
  const all: Readonly<Record<string, Form<never>>> = forms[operator];
  const names = new Set([...(PREFERRED[operator] ?? []), ...Object.keys(all)]);
  return [...names].filter((name) => all[name]!.applies?.(call as Call<never>) ?? true);
}

/** The fastest known form that applies. */
export const fastForms: ChooseForm = (operator, call) => candidatesFor(operator, call)[0]!;
