import type { MeaningName, OperatorName } from '../onnx/ops/index.js';
import { batchNorm, batchNormGrad } from './batch-norm.js';
import {
  convInputGrad,
  convWeightGradFlat,
  convWeightGradSlices,
  convWeightGradStacked,
} from './convolution.js';
import type { Call, Form } from './form.js';
import { maxPoolGradMask, maxPoolGradScatter } from './max-pool.js';
import {
  phasesForward,
  phasesInputGrad,
  phasesWeightGrad,
  plainForward,
  plainInputGrad,
  plainWeightGrad,
} from './upsample-convolution.js';

/** Every form of every operator that must be lowered. `plain` is the definition, and always applies. */
export const forms: {
  readonly [K in MeaningName]: Readonly<Record<'plain', Form<K>> & Record<string, Form<K>>>;
} = {
  ConvInputGrad: { plain: convInputGrad },
  ConvWeightGrad: { plain: convWeightGradSlices, flat: convWeightGradFlat, stacked: convWeightGradStacked },
  UpsampleConv: { plain: plainForward, phases: phasesForward },
  UpsampleConvInputGrad: { plain: plainInputGrad, phases: phasesInputGrad },
  UpsampleConvWeightGrad: { plain: plainWeightGrad, phases: phasesWeightGrad },
  BatchNorm: { plain: batchNorm },
  BatchNormGrad: { plain: batchNormGrad },
  MaxPoolGrad: { plain: maxPoolGradScatter, mask: maxPoolGradMask },
};

/** Names the form for one call. */
export type ChooseForm = (operator: MeaningName, call: Call<OperatorName>) => string;

/** The definition of everything. */
export const plainForms: ChooseForm = () => 'plain';

/** For each operator the forms that were measured to be faster, best first; `plain` where none applies. */
const PREFERRED: Readonly<Partial<Record<MeaningName, readonly string[]>>> = {
  ConvWeightGrad: ['flat', 'stacked'],
  UpsampleConv: ['phases'],
  UpsampleConvInputGrad: ['phases'],
  UpsampleConvWeightGrad: ['phases'],
  MaxPoolGrad: ['mask'],
};

/** The fastest known form that applies. */
export const fastForms: ChooseForm = (operator, call) => {
  const candidates: Readonly<Record<string, Form<never>>> = forms[operator];
  const applies = (name: string) => candidates[name]!.applies?.(call as Call<never>) ?? true;
  return PREFERRED[operator]?.find(applies) ?? 'plain';
};
