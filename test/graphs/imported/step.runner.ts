/** The runner of speed.ts that is this package: training steps of an exported network, several in a run as `p2w finetune` makes them. */
import { readFileSync } from 'node:fs';
import { importModel } from '../../../graphs/imported/import-model.js';
import { importedObjective } from '../../../graphs/objectives/imported.js';
import { decodeModel } from '../../../graphs/onnx/schema.js';
import { serveRounds } from '../../../src/bench/runner-loop.js';
import { TRAINING_DEFAULTS } from '../../../src/config/training.js';
import type { Tensors } from '../../../src/runtime/engine.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { createStepper } from '../../../src/train/create-stepper.js';

interface StepJob {
  /** An exported network, and `x` and `target` as initialisers of a model. */
  readonly model: string;
  readonly results: string;
  readonly threads: number;
}

const job = JSON.parse(process.argv[2]!) as StepJob;
const results = decodeModel(readFileSync(job.results)).graph.initializers;
const [x, target] = [results.get('x')!, results.get('target')!];
const batch = target.shape[0] as number;
const model = importModel(readFileSync(job.model));
const config = {
  ...TRAINING_DEFAULTS,
  batch,
  microBatch: batch,
  threads: job.threads,
  forms: 'fast' as const,
};
const stepper = await createStepper(
  () => importedObjective(model, { loss: { name: 'meanSquaredError' } }),
  config,
  nodeEngine,
  { inLoop: true },
);
const feeds: Tensors = {
  [model.inputs[0]!.name]: x,
  target,
  sample_weight: { type: 'float32', shape: [batch], data: new Float32Array(batch).fill(1) },
};
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
await serveRounds(() => run(jobs), `${nodeEngine.name}, ${jobs} steps in a run`, job.threads, { jobs });
