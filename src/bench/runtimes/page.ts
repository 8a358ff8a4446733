/** What a page of `p2w bench runtimes` does: fetches a model and its inputs, runs it, and sends times back. */
import type { Tensors } from '../../runtime/engine.js';
import { type WebProvider, type WebRuntime, webEngine } from '../../runtime/web.js';
import { type Packed, unpack } from '../engines/packed.js';
import { load, type Patience, timeRuns } from './measure.js';

export interface PageJob {
  /** Module of the runtime, from the page's own server. */
  readonly module: string;
  readonly provider: WebProvider;
  readonly threads: number;
  readonly patience: Patience;
}

export type PageTimes =
  | {
      readonly loadSeconds: number;
      readonly error: number | null;
      readonly seconds: readonly number[];
      /** The GPU, by the browser's account. */
      readonly adapter: string | null;
    }
  | { readonly failed: string };

interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
}

const bytesOf = async (path: string) => new Uint8Array(await (await fetch(path)).arrayBuffer());
const jsonOf = async <T>(path: string) => (await (await fetch(path)).json()) as T;
const tensorsOf = async (name: string): Promise<Tensors> =>
  unpack({
    contents: await jsonOf<Packed['contents']>(`/job/${name}.json`),
    bytes: await bytesOf(`/job/${name}.bin`),
  });

/** What draws, or pretends to. */
async function adapterOf(provider: WebProvider): Promise<string | null> {
  if (provider !== 'webgpu') return null;
  const { navigator } = globalThis as {
    navigator?: { gpu?: { requestAdapter(): Promise<{ readonly info: AdapterInfo } | null> } };
  };
  const info = (await navigator?.gpu?.requestAdapter())?.info;
  return info
    ? [info.vendor, info.architecture, info.description].filter((text) => text !== '').join(' ')
    : null;
}

async function measure({ module, provider, threads, patience }: PageJob): Promise<PageTimes> {
  const adapter = await adapterOf(provider);
  if (provider === 'webgpu' && adapter === null) return { failed: 'the browser has no WebGPU adapter' };
  const runtime = (await import(module)) as WebRuntime;
  runtime.env.wasm.numThreads = threads;
  runtime.env.logLevel = 'error';
  const [model, inputs, reference] = await Promise.all([
    bytesOf('/job/model'),
    tensorsOf('inputs'),
    tensorsOf('reference'),
  ]);
  const engine = webEngine({ name: module, provider, runtime: async () => runtime });
  const loaded = await load(async () => {
    const session = await engine.load(model, { threads });
    return { run: () => session.run(inputs) };
  }, reference);
  return {
    loadSeconds: loaded.loadSeconds,
    error: loaded.error,
    seconds: await timeRuns(loaded, patience),
    adapter,
  };
}

let result: PageTimes;
try {
  result = await measure(await jsonOf<PageJob>('/job/job.json'));
} catch (error) {
  result = { failed: error instanceof Error ? error.message : String(error) };
}
await fetch('/result', { method: 'POST', body: JSON.stringify(result) });
