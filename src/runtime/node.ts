import { createRequire } from 'node:module';
import type * as ort from 'onnxruntime-node';
import type { ElementType, TensorData } from '../../graphs/onnx/types.js';
import { UserError } from '../errors.js';
import type { Device } from './device.js';
import type { Engine, EngineTensor, Session, SessionOptions } from './engine.js';
import { providerFor } from './providers.js';

const require = createRequire(import.meta.url);
const { version } = require('onnxruntime-node/package.json') as { version: string };

const fail = (what: string, error: unknown, fix?: string): UserError =>
  new UserError('runtime', {
    what: `${what}: ${error instanceof Error ? error.message : String(error)}`,
    ...(fix ? { fix } : {}),
    cause: error,
  });

const LEVELS = { all: 'all', constants: 'basic', nothing: 'disabled' } as const;

/** The native library, loaded when it is first needed: where it is missing, all else still works. */
async function loadRuntime(): Promise<typeof ort> {
  try {
    return await import('onnxruntime-node');
  } catch (error) {
    throw fail('ONNX Runtime cannot be loaded', error, 'p2w doctor says what is missing');
  }
}

const fromOrt = (tensor: ort.OnnxValue): EngineTensor => ({
  type: tensor.type as ElementType,
  shape: tensor.dims,
  data: tensor.data as TensorData,
});

const mapTensors = <A, B>(
  tensors: Readonly<Record<string, A>>,
  change: (tensor: A) => B,
): Record<string, B> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor)]));

/**
 * ONNX Runtime's own build for Node.js on a device. Where the device cannot be had, loading a model fails. On a GPU, ONNX
 * Runtime gives single nodes to the CPU that have no kernel there or only compute shapes.
 */
export const nodeEngineOn = (device: Device): Engine => ({
  name: `onnxruntime-node ${version}`,
  provider: device,
  async load(model: Uint8Array, { threads, rewrite = 'all' }: SessionOptions): Promise<Session> {
    const { InferenceSession, Tensor } = await loadRuntime();
    const toOrt = ({ type, data, shape }: EngineTensor) =>
      new Tensor(type as 'float32', data as Float32Array, shape as number[]);
    let session: ort.InferenceSession;
    try {
      session = await InferenceSession.create(model, {
        executionProviders: [providerFor(device)],
        intraOpNumThreads: threads,
        graphOptimizationLevel: LEVELS[rewrite],
        // A plan of all memory in one piece takes nearly twice as much, and is not faster.
        enableMemPattern: false,
        logSeverityLevel: 3,
        // Threads stand still as soon as a run has ended: spinning, they slow other sessions down.
        // Numbers too small for a normal float slow the processor down a hundredfold, and carry nothing here.
        extra: { session: { force_spinning_stop: '1', set_denormal_as_zero: '1' } },
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
});

/** ONNX Runtime on the CPU. */
export const nodeEngine = nodeEngineOn('cpu');
