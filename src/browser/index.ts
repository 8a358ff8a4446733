/** Parts2Whole in a browser: nothing here needs Node.js. The page brings an ONNX Runtime of its own, onnxruntime-web. */
export type { DeepPartial } from '../config/layers.js';
export type { Config } from '../config/pretraining.js';
export type { Grid, Volume, Voxels, XYZ } from '../data/scan/volume.js';
export { type ErrorFacts, type ErrorKind, UserError } from '../errors.js';
export { makePhantom, type Phantom, type PhantomOptions } from '../phantom/chest.js';
export type { Engine, EngineTensor, Session, SessionOptions, Tensors } from '../runtime/engine.js';
export { type WebEngineOptions, type WebProvider, type WebRuntime, webEngine } from '../runtime/web.js';
export {
  type ModelTraining,
  type ModelTrainingOptions,
  openModelTraining,
} from '../train/model-training.js';
export type { StepResult } from '../train/stepper.js';
export {
  openPretraining,
  type Pretraining,
  type PretrainingOptions,
  type Validation,
} from './pretraining.js';
export { readScan } from './scan.js';
