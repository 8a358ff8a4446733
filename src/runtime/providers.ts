import { type Device, gpuOf } from './device.js';
import { loadOrt } from './load-ort.js';

/** A machine that the library does not support is a finding, not a crash. */
async function load() {
  const ort = await loadOrt();
  // What fails here is reported by us; the library would print it a second time.
  ort.env.logLevel = 'fatal';
  return ort;
}

/**
 * Execution providers that the installed ONNX Runtime was built with, by its own account; `cpu` alone where it
 * cannot be loaded, so that the probe says why.
 */
export async function listedProviders(): Promise<string[]> {
  try {
    return (await load()).listSupportedBackends().map(({ name }) => name);
  } catch {
    return ['cpu'];
  }
}

/** How onnxruntime-node is told where to run. It passes nothing else on to the CUDA provider. */
export const providerFor = (device: Device | 'webgpu') => {
  if (device === 'webgpu') return device;
  const gpu = gpuOf(device);
  return gpu === null ? 'cpu' : { name: 'cuda' as const, deviceId: gpu };
};

/** What matters in a message of ONNX Runtime, which begins with places and conditions in its source. */
export function readable(message: string): string {
  const [line] = message.split('\n');
  const failure = /CUDA failure \d+: [^;]+?(?= ;|$)/.exec(line!);
  return failure?.[0] ?? line!.replace(/^\/onnxruntime_src\/.* was false\. /, '');
}

/**
 * Runs a model on a provider and on nothing else.
 * @param provider its name, or a name with the number of a device
 * @param model takes ones, x [1,1,3,3,3] float32, and returns their sum
 * @returns null when it ran, or why it did not
 */
export async function probeProvider(
  provider: string | ReturnType<typeof providerFor>,
  model: Uint8Array,
): Promise<string | null> {
  try {
    const ort = await load();
    const session = await ort.InferenceSession.create(model, {
      executionProviders: [provider],
      logSeverityLevel: 4,
      // Without this, a node that the provider cannot take is given to the CPU in silence.
      ...(provider === 'cpu' ? {} : { extra: { session: { disable_cpu_ep_fallback: '1' } } }),
    });
    const ones = new ort.Tensor('float32', new Float32Array(27).fill(1), [1, 1, 3, 3, 3]);
    const { y } = await session.run({ x: ones });
    await session.release();
    const value = y?.data[0];
    return value === 27 ? null : `the sum of 27 ones was ${String(value)}`;
  } catch (error) {
    return readable(error instanceof Error ? error.message : String(error));
  }
}
