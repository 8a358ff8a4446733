/** ONNX Runtime's JavaScript interface, which all its packages share. Imports nothing that runs: browsers use it too. */
import type * as ort from 'onnxruntime-node';
import type { ElementType, TensorData } from '../../graphs/onnx/types.js';
import { UserError } from '../errors.js';
import type { EngineTensor, SessionOptions } from './engine.js';

/** Of any ONNX Runtime package. */
export type OrtTensorClass = typeof ort.Tensor;
export type OrtTensor = ort.Tensor;

/** A defect of a model or of the runtime, with the runtime's own words. */
export const runtimeError = (what: string, error: unknown, fix?: string): UserError =>
  new UserError('runtime', {
    what: `${what}: ${typeof error === 'number' ? `error ${error}, for which this build has no message` : error instanceof Error ? error.message : String(error)}`,
    ...(fix ? { fix } : {}),
    cause: error,
  });

export const fromOrt = (tensor: ort.OnnxValue): EngineTensor => ({
  type: tensor.type as ElementType,
  shape: tensor.dims,
  data: tensor.data as TensorData,
});

export const toOrt =
  (Tensor: OrtTensorClass) =>
  ({ type, data, shape }: EngineTensor): OrtTensor =>
    new Tensor(type as 'float32', data as Float32Array, shape as number[]);

export const mapTensors = <A, B>(
  tensors: Readonly<Record<string, A>>,
  change: (tensor: A) => B,
): Record<string, B> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor)]));

const LEVELS = { all: 'all', nothing: 'disabled' } as const;

/** Options that every package understands. */
export const commonOptions = ({ rewrite = 'all' }: SessionOptions) =>
  ({
    graphOptimizationLevel: LEVELS[rewrite],
    // A plan of all memory in one piece takes nearly twice as much, and is not faster.
    enableMemPattern: false,
    logSeverityLevel: 3,
  }) satisfies ort.InferenceSession.SessionOptions;
