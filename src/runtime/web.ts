/** ONNX Runtime as WebAssembly or on WebGPU, in browsers and in Node.js: this file imports nothing of either. */
import type * as ort from 'onnxruntime-node';
import type { Engine, EngineTensor, Session, SessionOptions, Tensors } from './engine.js';
import { commonOptions, fromOrt, mapTensors, runtimeError, toOrt } from './ort.js';

/** A loaded package: onnxruntime-web, any of its builds. */
export type WebRuntime = Pick<typeof ort, 'InferenceSession' | 'Tensor' | 'env'>;

/** `wasm` computes on the processor; `webgpu` on a GPU, as float32. */
export type WebProvider = 'wasm' | 'webgpu';

export interface WebEngineOptions {
  /** Package and version. */
  readonly name: string;
  readonly provider: WebProvider;
  /** The package, with as many threads as it can have; called once, when a model is first loaded. */
  runtime(threads: number): Promise<WebRuntime>;
}

/** A tensor of small integers as floats, which hold them exactly: WebGPU has none. */
const asFloats = (tensor: EngineTensor): EngineTensor =>
  tensor.data instanceof Int16Array || tensor.type === 'uint8'
    ? { ...tensor, type: 'float32', data: Float32Array.from(tensor.data as Int16Array) }
    : tensor;

/** Copies a result into the memory that was prepared for it. */
function copyInto(target: EngineTensor, { data }: EngineTensor): EngineTensor {
  (target.data as Float32Array).set(data as Float32Array);
  return target;
}

/**
 * An engine on ONNX Runtime's builds for the web. Threads are those of the first model that is loaded: all models of a
 * page or process share them.
 * @example
 * const engine = webEngine({ name: 'onnxruntime-web', provider: 'wasm', runtime: async () => ort });
 */
export function webEngine({ name, provider, runtime }: WebEngineOptions): Engine {
  let loading: Promise<WebRuntime> | undefined;
  return {
    name,
    provider,
    async load(model: Uint8Array, options: SessionOptions): Promise<Session> {
      loading ??= runtime(options.threads);
      const { InferenceSession, Tensor } = await loading;
      let session: ort.InferenceSession;
      try {
        session = await InferenceSession.create(model, {
          ...commonOptions(options),
          executionProviders: [provider],
          extra: { session: { set_denormal_as_zero: '1' } },
        });
      } catch (error) {
        throw runtimeError(`${name} rejected the model`, error);
      }
      return {
        inputs: session.inputNames,
        outputs: session.outputNames,
        async run(feeds, into) {
          const taken = provider === 'webgpu' ? mapTensors(feeds, asFloats) : feeds;
          const inputs = mapTensors(taken, toOrt(Tensor));
          let results: Tensors;
          try {
            const returned = into ? await session.run(inputs, Object.keys(into)) : await session.run(inputs);
            results = mapTensors(returned, fromOrt);
          } catch (error) {
            throw runtimeError(`${name} failed while running a model`, error);
          }
          if (!into) return results;
          return Object.fromEntries(
            Object.entries(into).map(([output, target]) => [output, copyInto(target, results[output]!)]),
          );
        },
        release: () => session.release(),
      };
    },
  };
}
