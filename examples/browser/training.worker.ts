/** Trains beside the page, so that the page never stands still. */
import { makePhantom, openPretraining, readScan, type WebRuntime, webEngine } from 'parts2whole/browser';
import type { FromWorker, Start, ToWorker } from './messages.js';

const VALIDATE_EVERY = 10;

const say = (message: FromWorker) => postMessage(message);
let stopped = false;

/** ONNX Runtime lies beside this file; with threads where the page may share memory between them. */
async function loadRuntime(provider: Start['provider']): Promise<WebRuntime> {
  const file = `./ort.${provider}.bundle.min.mjs`;
  const runtime = (await import(file)) as WebRuntime;
  runtime.env.wasm.numThreads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  return runtime;
}

async function train({ scan: file, weights, provider }: Start): Promise<void> {
  say({ kind: 'says', text: file ? `reading ${file.name}` : 'making a synthetic chest CT' });
  const scan = file
    ? await readScan(file)
    : makePhantom({ seed: 1, index: 0, size: [128, 128, 96], spacing: [2.5, 2.5, 3] }).volume;
  say({ kind: 'says', text: 'loading ONNX Runtime and the training step' });
  const engine = webEngine({ name: 'onnxruntime-web', provider, runtime: () => loadRuntime(provider) });
  const training = await openPretraining({
    engine,
    scan,
    config: { batch: 8 },
    ...(weights ? { weights: new Uint8Array(await weights.arrayBuffer()) } : {}),
  });
  const { tiles } = training;
  say({ kind: 'says', text: `training on ${tiles.training} tiles, validating on ${tiles.validation}` });
  for (let step = 1; !stopped; step++) {
    const began = performance.now();
    const { loss } = await training.step();
    say({ kind: 'step', step, loss, seconds: (performance.now() - began) / 1000 });
    if (step % VALIDATE_EVERY === 1) {
      const { mse, size, part, reconstruction, whole } = await training.validate();
      const images = [part, reconstruction, whole].map((voxels) => ({ size, voxels }));
      say({ kind: 'validation', step, mse, images });
    }
    // A message can only come in between.
    await new Promise((next) => setTimeout(next));
  }
  say({ kind: 'done', weights: await training.weights(), encoder: await training.encoder() });
  await training.release();
}

addEventListener('message', async ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === 'stop') {
    stopped = true;
    return;
  }
  try {
    await train(data);
  } catch (error) {
    say({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
});
