/** The runner of speed.ts that is this package: training steps of an exported network, several in a run as `p2w finetune` makes them. */
import { readFileSync } from 'node:fs';
import { importModel } from '../../../graphs/imported/import-model.js';
import { importedObjective } from '../../../graphs/objectives/imported.js';
import { decodeModel } from '../../../graphs/onnx/schema.js';
import { serveRounds } from '../../../src/bench/runner-loop.js';
import { TRAINING_DEFAULTS } from '../../../src/config/training.js';
import type { Engine } from '../../../src/runtime/engine.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { createStepper } from '../../../src/train/create-stepper.js';
import { batchOf } from './compare.js';

interface StepJob {
  /** An exported network, and `x` and `target` as initialisers of a model. */
  readonly model: string;
  readonly results: string;
  readonly threads: number;
}

const job = JSON.parse(process.argv[2]!) as StepJob;
const results = decodeModel(readFileSync(job.results)).graph.initializers;
const batch = results.get('target')!.shape[0] as number;
const model = importModel(readFileSync(job.model));
const config = {
  ...TRAINING_DEFAULTS,
  batch,
  microBatch: batch,
  threads: job.threads,
  forms: 'fast' as const,
};
let sessionSeconds = 0;
const engine: Engine = {
  ...nodeEngine,
  async load(...given) {
    const start = performance.now();
    const session = await nodeEngine.load(...given);
    sessionSeconds += (performance.now() - start) / 1000;
    return session;
  },
};
const stepper = await createStepper(
  () => importedObjective(model, { loss: { name: 'meanSquaredError' } }),
  config,
  engine,
  { inLoop: true },
);
const feeds = batchOf(model, results);
let step = 1;
const run = async (count: number) => {
  const first = step;
  step += count;
  return stepper.run(new Array(count).fill([feeds]), 1e-5, first);
};
// How many steps a run makes is known once some have been timed.
await run(1);
await run(1);
const jobs = stepper.stepsAtOnce;
await serveRounds(() => run(jobs), `${nodeEngine.name}, ${jobs} steps in a run`, job.threads, {
  jobs,
  facts: { sessionSeconds },
});
