import type { OperatorName } from '../../onnx/ops/index.js';
import { noGradient, type Rules } from '../rule.js';
import { elementwiseRules } from './elementwise.js';
import { linearRules } from './linear.js';
import { reduceRules } from './reduce.js';
import { shapeRules } from './shape.js';
import { spatialRules } from './spatial.js';

const update = noGradient('it is for what comes after the backward pass');
const stored = noGradient('networks are quantised after training');
const layout = noGradient('layouts are chosen after the backward pass is built');

/** The gradient of every operator, or why there is none. A missing operator does not compile. */
export const rules: Rules<OperatorName> = {
  ...elementwiseRules,
  ...shapeRules,
  ...reduceRules,
  ...linearRules,
  ...spatialRules,
  ReorderInput: layout,
  ReorderOutput: layout,
  BlockedConv: layout,
  BlockedGlobalAveragePool: layout,
  BlockedMaxPool: layout,
  QuantizeLinear: stored,
  DequantizeLinear: stored,
  InPlaceAccumulatorV2: update,
  InplaceClipGradNorm: update,
  AdamWOptimizer: update,
  SGDOptimizerV2: update,
  SumOverRanks: noGradient('sums over ranks are put in after the backward pass is built'),
  If: noGradient('differentiate its branches before building it'),
  Loop: noGradient('differentiate its body before building it'),
};
