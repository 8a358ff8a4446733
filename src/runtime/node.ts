import { createRequire } from 'node:module';
import * as ort from 'onnxruntime-node';
import type { ElementType, TensorData } from '../../graphs/onnx/types.js';
import { UserError } from '../errors.js';
import type { Engine, EngineTensor, Session, SessionOptions } from './engine.js';

const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };

const fail = (what: string, error: unknown): UserError =>
  new UserError('runtime', {
    what: `${what}: ${error instanceof Error ? error.message : String(error)}`,
    cause: error,
  });

const toOrt = ({ type, data, shape }: EngineTensor): ort.Tensor =>
  new ort.Tensor(type as 'float32', data as Float32Array, shape as number[]);

const fromOrt = (tensor: ort.OnnxValue): EngineTensor => ({
  type: tensor.type as ElementType,
  shape: tensor.dims,
  data: tensor.data as TensorData,
});

/** ONNX Runtime's own build for Node.js, on the CPU. */
export const nodeEngine: Engine = {
  name: `onnxruntime-node ${version}`,
  provider: 'cpu',
  async load(model: Uint8Array, { threads }: SessionOptions): Promise<Session> {
    let session: ort.InferenceSession;
    try {
      session = await ort.InferenceSession.create(model, {
        executionProviders: ['cpu'],
        intraOpNumThreads: threads,
        graphOptimizationLevel: 'all',
        logSeverityLevel: 3,
        // Numbers too small for a normal float slow the processor down a hundredfold, and carry nothing here.
        extra: { session: { set_denormal_as_zero: '1' } },
      });
    } catch (error) {
      throw fail('ONNX Runtime refused the model', error);
    }
    return {
      inputs: session.inputNames,
      outputs: session.outputNames,
      async run(feeds, into) {
        const inputs = mapTensors(feeds, toOrt);
        try {
          const results = into
            ? await session.run(inputs, mapTensors(into, toOrt))
            : await session.run(inputs);
          return mapTensors(results, fromOrt);
        } catch (error) {
          throw fail('ONNX Runtime failed while running a model', error);
        }
      },
      release: () => session.release(),
    };
  },
};

const mapTensors = <A, B>(
  tensors: Readonly<Record<string, A>>,
  change: (tensor: A) => B,
): Record<string, B> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor)]));
