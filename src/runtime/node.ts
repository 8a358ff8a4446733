import { createRequire } from 'node:module';
import type * as ort from 'onnxruntime-node';
import { mostThreads } from '../machine.js';
import type { Device } from './device.js';
import type { Engine, Session, SessionOptions } from './engine.js';
import { loadOrt } from './load-ort.js';
import { commonOptions, fromOrt, mapTensors, runtimeError, toOrt } from './ort.js';
import { providerFor } from './providers.js';

const require = createRequire(import.meta.url);
const { version } = require('onnxruntime-node/package.json') as { version: string };

/** @throws UserError where there is none for this machine */
async function loadRuntime(): Promise<typeof ort> {
  try {
    return await loadOrt();
  } catch (error) {
    throw runtimeError('ONNX Runtime cannot be loaded', error, 'run p2w doctor to see what is missing');
  }
}

/**
 * Threads wait for the next operator for a moment only, about as long as one that a thread computes alone takes, and stand still as soon
 * as a run has ended: spinning, they slow other sessions down, and on a busy machine have used up their share of time when they get
 * work. Numbers too small for a normal float slow the processor down a hundredfold, and carry nothing here; of that, ONNX Runtime asks
 * the first session of a process only.
 */
const SETTINGS = {
  session: { intra_op: { spin_duration_us: '20' }, force_spinning_stop: '1', set_denormal_as_zero: '1' },
};

/**
 * ONNX Runtime's own build for Node.js on a device. Where the device cannot be had, loading a model fails. On a GPU, ONNX
 * Runtime gives single nodes to the CPU that have no kernel there or only compute shapes.
 */
export const nodeEngineOn = (device: Device | 'webgpu'): Engine => ({
  name: `onnxruntime-node ${version}`,
  provider: device,
  async load(model: Uint8Array, options: SessionOptions): Promise<Session> {
    const { InferenceSession, Tensor } = await loadRuntime();
    let session: ort.InferenceSession;
    try {
      session = await InferenceSession.create(model, {
        ...commonOptions(options),
        executionProviders: [providerFor(device)],
        // A run of a larger machine may ask for more.
        intraOpNumThreads: Math.min(options.threads, mostThreads()),
        extra: SETTINGS,
      });
    } catch (error) {
      throw runtimeError('ONNX Runtime rejected the model', error);
    }
    return {
      inputs: session.inputNames,
      outputs: session.outputNames,
      async run(feeds, into) {
        try {
          const inputs = mapTensors(feeds, toOrt(Tensor));
          const results = into
            ? await session.run(inputs, mapTensors(into, toOrt(Tensor)))
            : await session.run(inputs);
          return mapTensors(results, fromOrt);
        } catch (error) {
          throw runtimeError('ONNX Runtime failed while running a model', error);
        }
      },
      release: () => session.release(),
    };
  },
});

/** An input of a model. */
export interface InputSignature {
  readonly name: string;
  /** Null for what is no tensor. */
  readonly type: string | null;
  /** A size, the name of one, or `''` where it has none. */
  readonly shape: readonly (number | string)[];
}

/** What a model must be fed, by ONNX Runtime's account. @throws UserError of kind `runtime` with its message */
export async function readSignature(model: Uint8Array): Promise<readonly InputSignature[]> {
  const { InferenceSession } = await loadRuntime();
  try {
    const options = { ...commonOptions({ threads: 1, rewrite: 'nothing' }), extra: SETTINGS };
    const session = await InferenceSession.create(model, options);
    const { inputMetadata } = session;
    await session.release();
    return inputMetadata.map((input) =>
      input.isTensor
        ? { name: input.name, type: input.type, shape: input.shape.map((dim) => (dim === '?' ? '' : dim)) }
        : { name: input.name, type: null, shape: [] },
    );
  } catch (error) {
    throw runtimeError('ONNX Runtime rejected the model', error);
  }
}

/** ONNX Runtime on the CPU. */
export const nodeEngine = nodeEngineOn('cpu');
