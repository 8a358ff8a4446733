/**
 * The compiler: building, importing, differentiating, lowering and writing ONNX graphs. Knows nothing of any network, file or
 * runtime.
 */

export { backward } from './autodiff/backward.js';
export { rules } from './autodiff/rules/index.js';
export { byTable, chooseForms, survey } from './forms/choice.js';
export { fastForms, forms, plainForms } from './forms/index.js';
export { lower } from './forms/lower.js';
export { exportTrained } from './imported/export-trained.js';
export {
  examineModel,
  type ImportedModel,
  type ImportOptions,
  importModel,
} from './imported/import-model.js';
export {
  DROPOUT_SEED,
  type ImportedNetwork,
  type ImportedParameter,
  importedLayers,
} from './imported/network.js';
export type { MergedTensor, SplitRule } from './imported/parameters.js';
export type { ImportReport, ReportedTensor, Unsupported } from './imported/report.js';
export { NetworkBuilder } from './nn/module.js';
export {
  type ImportedTask,
  importedObjective,
  type OutputLoss,
  type OwnLoss,
} from './objectives/imported.js';
export type { LossAndOutputs, Objective } from './objectives/objective.js';
export { GraphBuilder } from './onnx/builder.js';
export { toModel } from './onnx/model.js';
export { operators } from './onnx/ops/index.js';
export { decodeModel, encodeModel } from './onnx/schema.js';
export { summarize } from './onnx/summary.js';
export * from './onnx/types.js';
export type { BuiltGraph } from './programs/built.js';
export { evaluationGraph } from './programs/evaluation.js';
export { gradientGraph, stepGraph, type UpdateOptions } from './programs/training.js';
export { translate } from './standard/index.js';
