/** Loaded only when it is asked for: a machine that the library does not support is a finding, not a crash. */
async function load() {
  const ort = await import('onnxruntime-node');
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

/**
 * Runs a model of one node, y = x + 1, on a provider and on nothing else.
 * @returns null when it ran, or why it did not
 */
export async function probeProvider(name: string, model: Uint8Array): Promise<string | null> {
  try {
    const ort = await load();
    const session = await ort.InferenceSession.create(model, {
      executionProviders: [name],
      logSeverityLevel: 4,
      // Without this, a provider that cannot be loaded is replaced by the CPU in silence.
      ...(name === 'cpu' ? {} : { extra: { session: { disable_cpu_ep_fallback: '1' } } }),
    });
    const { y } = await session.run({ x: new ort.Tensor('float32', Float32Array.of(1), [1]) });
    await session.release();
    const value = y?.data[0];
    return value === 2 ? null : `1 + 1 gave ${String(value)}`;
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
    // Some begin with the place in ONNX Runtime's source and the condition that did not hold.
    return line!.replace(/^\/onnxruntime_src\/.* was false\. /, '');
  }
}
