/** What a page of `p2w bench engines` does: fetches the workload, trains, and sends its curve back. */
import type { TrainingRuntime } from '../../runtime/training-session.js';
import { openTrainingSession } from '../../runtime/training-session.js';
import { type WebProvider, type WebRuntime, webEngine } from '../../runtime/web.js';
import { type Curve, sessionCurve, stepCurve, type TrainingWorkload } from './curves.js';
import { type Packed, unpack } from './packed.js';

/** One engine in a browser. */
export interface PageEngine {
  /** Module of the runtime, from the page's own server. */
  readonly module: string;
  readonly provider: WebProvider;
  /** By ONNX Runtime's training interface instead of our step. */
  readonly session: boolean;
  readonly threads: number;
}

/** What the server says of the workload; bytes are fetched by their names. */
export interface PageWorkload extends Pick<TrainingWorkload, 'learningRate'> {
  readonly state: Packed['contents'];
  readonly batches: readonly Packed['contents'][];
}

export type PageResult = Curve | { readonly failed: string };

const bytesOf = async (path: string) => new Uint8Array(await (await fetch(path)).arrayBuffer());
const jsonOf = async <T>(path: string) => (await (await fetch(path)).json()) as T;

async function fetchWorkload(threads: number): Promise<TrainingWorkload> {
  const { learningRate, state, batches } = await jsonOf<PageWorkload>('/workload/workload.json');
  const tensors = async (name: string, contents: Packed['contents']) =>
    unpack({ contents, bytes: await bytesOf(`/workload/${name}`) });
  const [training, evaluation, optimizer, checkpoint] = await Promise.all(
    ['training', 'evaluation', 'optimizer', 'checkpoint'].map((name) => bytesOf(`/workload/${name}`)),
  );
  return {
    step: await bytesOf('/workload/step'),
    artifacts: {
      training: training!,
      evaluation: evaluation!,
      optimizer: optimizer!,
      checkpoint: checkpoint!,
    },
    state: await tensors('state', state),
    batches: await Promise.all(batches.map((contents, i) => tensors(`batch-${i}`, contents))),
    learningRate,
    threads,
  };
}

async function train({ module, provider, session, threads }: PageEngine): Promise<Curve> {
  const runtime = (await import(module)) as WebRuntime & TrainingRuntime;
  runtime.env.wasm.numThreads = threads;
  runtime.env.logLevel = 'error';
  const workload = await fetchWorkload(threads);
  if (session) return sessionCurve((models) => openTrainingSession(runtime, models), workload);
  return stepCurve(webEngine({ name: module, provider, runtime: async () => runtime }), workload);
}

async function main(): Promise<void> {
  let result: PageResult;
  try {
    result = await train(await jsonOf<PageEngine>('/workload/engine.json'));
  } catch (error) {
    result = { failed: error instanceof Error ? error.message : String(error) };
  }
  await fetch('/result', { method: 'POST', body: JSON.stringify(result) });
}

void main();
