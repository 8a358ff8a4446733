/** The process that runs a model on one runtime of Node.js. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeModel } from '../../../graphs/onnx/schema.js';
import { probeModel } from '../../../graphs/programs/probe.js';
import { loadForSizes } from '../../execution/inference-session.js';
import { openEngine } from '../../execution/open-engine.js';
import type { Engine } from '../../runtime/engine.js';
import { nodeEngineOn } from '../../runtime/node.js';
import { probeProvider } from '../../runtime/providers.js';
import { wasmEngine, wasmTrainingSession } from '../../runtime/web-node.js';
import { serveRounds, unavailable } from '../runner-loop.js';
import { ARTIFACTS, type RuntimeJob, readTensors, writeTensors } from './job.js';
import { load, type Opened } from './measure.js';

const { folder, model, runtime, device, threads, forms } = JSON.parse(process.argv[2]!) as RuntimeJob;
const read = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
const feeds = readTensors(folder, 'inputs');
const reference = existsSync(join(folder, 'reference.json')) ? readTensors(folder, 'reference') : null;

async function engineOf(): Promise<Engine> {
  if (runtime !== 'node') return wasmEngine(`onnxruntime-${runtime as 'web'}`);
  if (device !== 'webgpu') return openEngine(device);
  const problem = await probeProvider(device, probeModel());
  if (problem !== null) unavailable(problem);
  return nodeEngineOn(device);
}

async function openSession(engine: Engine): Promise<Opened> {
  const bytes = read(model);
  const shapes = Object.fromEntries(Object.entries(feeds).map(([name, { shape }]) => [name, shape]));
  const session = forms
    ? await loadForSizes(decodeModel(bytes), bytes, shapes, engine, threads)
    : await engine.load(bytes, { threads });
  return { run: () => session.run(feeds) };
}

/** Steps of ONNX Runtime's own training interface. */
async function openTraining(): Promise<Opened> {
  const [training, evaluation, optimizer, checkpoint] = ARTIFACTS.map((name) => read(`${model}-${name}`));
  const session = await wasmTrainingSession({
    ...{ training: training!, evaluation: evaluation!, optimizer: optimizer!, checkpoint: checkpoint! },
  });
  return {
    run: async () => {
      const outputs = await session.accumulate(feeds);
      await session.update();
      return outputs;
    },
  };
}

const isInterface = runtime === 'training-interface';
const engine = isInterface ? wasmEngine('onnxruntime-training-web') : await engineOf();
const loaded = await load(() => (isInterface ? openTraining() : openSession(engine)), reference);
if (!reference) writeTensors(folder, 'reference', await loaded.run());
const { loadSeconds, error, run } = loaded;
const facts = { loadSeconds, ...(error !== null && { error }) };
// Percentiles are those of a run.
await serveRounds(run, engine.name, threads, { facts, single: true });
