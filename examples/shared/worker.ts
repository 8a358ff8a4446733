/** Trains beside the page, so that the page never stands still. */
import { type Engine, type WebProvider, type WebRuntime, webEngine } from 'parts2whole/browser';
import type { Files, FromWorker, ToWorker } from './messages.js';

const VALIDATE_EVERY = 10;

/** A training that is ready to begin. @typeParam Shown what the page shows of a validation */
export interface Training<Shown> {
  /** Makes a step. @returns its loss */
  step(): Promise<number>;
  validate(): Promise<{ readonly loss: number; readonly shown: Shown }>;
  /** For downloading. */
  files(): Promise<Files>;
  release(): Promise<void>;
}

/** ONNX Runtime lies beside this file; with threads where the page may share memory between them. */
async function loadRuntime(provider: WebProvider): Promise<WebRuntime> {
  const file = `./ort.${provider}.bundle.min.mjs`;
  const runtime = (await import(file)) as WebRuntime;
  runtime.env.wasm.numThreads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  return runtime;
}

export const openEngine = (provider: WebProvider): Engine =>
  webEngine({ name: 'onnxruntime-web', provider, runtime: () => loadRuntime(provider) });

/**
 * Trains when the page asks for it, until the page has it stopped.
 * @param open makes ready what the user chose; may say what it is doing
 */
export function trainOnRequest<Start, Shown>(
  open: (start: Start, say: (text: string) => void) => Promise<Training<Shown>>,
): void {
  const send = (message: FromWorker<Shown>) => postMessage(message);
  let stopped = false;

  async function train(start: Start): Promise<void> {
    const training = await open(start, (text) => send({ kind: 'says', text }));
    for (let step = 1; !stopped; step++) {
      const began = performance.now();
      const loss = await training.step();
      send({ kind: 'step', step, loss, seconds: (performance.now() - began) / 1000 });
      // A message can only come in between.
      await new Promise((next) => setTimeout(next));
      if (stopped || step % VALIDATE_EVERY === 1)
        send({ kind: 'validation', step, ...(await training.validate()) });
    }
    send({ kind: 'done', files: await training.files() });
    await training.release();
  }

  addEventListener('message', async ({ data }: MessageEvent<ToWorker<Start>>) => {
    if (data.kind === 'stop') {
      stopped = true;
      return;
    }
    try {
      await train(data.start);
    } catch (error) {
      send({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  });
}
