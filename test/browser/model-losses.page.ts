/** What the page does: fetches each network, makes its steps on WebGPU, and sends the losses back. */
import type { EngineTensor } from '../../src/runtime/engine.js';
import { type WebRuntime, webEngine } from '../../src/runtime/web.js';
import { modelLosses } from './model-losses.js';

interface PageTensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
interface Job {
  readonly rate: number;
  readonly x: PageTensor;
  readonly target: PageTensor;
}
const floats = ({ shape, data }: PageTensor): EngineTensor => ({
  type: 'float32',
  shape,
  data: Float32Array.from(data),
});

async function losses(): Promise<number[][]> {
  const module = '/ort/ort.webgpu.bundle.min.mjs';
  const runtime = (await import(module)) as WebRuntime;
  runtime.env.logLevel = 'error';
  const engine = webEngine({ name: module, provider: 'webgpu', runtime: async () => runtime });
  const jobs = (await (await fetch('/jobs.json')).json()) as Job[];
  const found: number[][] = [];
  for (const [i, { rate, x, target }] of jobs.entries()) {
    const model = new Uint8Array(await (await fetch(`/${i}.onnx`)).arrayBuffer());
    found.push(await modelLosses(engine, { model, rate, batch: { x: floats(x), target: floats(target) } }));
  }
  return found;
}

const body = await losses().then(JSON.stringify, (error: Error) => JSON.stringify({ failed: error.message }));
await fetch('/result', { method: 'POST', body });
