/** Building, differentiating, lowering and writing ONNX graphs. Knows nothing of files or runtimes. */
export { autoencoderGraph, encoderGraph } from './artifacts/inference.js';
export { evaluationGraph, gradientGraph, type ProxyOptions, stepGraph } from './artifacts/training.js';
export { backward } from './autodiff/backward.js';
export { rules } from './autodiff/rules/index.js';
export { byTable, chooseForms, survey } from './forms/choice.js';
export { fastForms, forms, plainForms } from './forms/index.js';
export { lower } from './forms/lower.js';
export { features, type UNet3dOptions } from './models/unet3d.js';
export { NetworkBuilder } from './nn/module.js';
export { GraphBuilder } from './onnx/builder.js';
export { toModel } from './onnx/model.js';
export { operators } from './onnx/ops/index.js';
export { decodeModel, encodeModel } from './onnx/schema.js';
export { summarize } from './onnx/summary.js';
export * from './onnx/types.js';
