/** The contestant that is this package: training steps on random tiles. See contestant.ts for what it says. */
import { createInterface } from 'node:readline';
import { resolveConfig } from '../config.js';
import { peakMemoryBytes } from '../machine.js';
import { engineFor } from '../runtime/index.js';
import { createStepper } from '../train/stepper.js';
import { randomBatch } from './random-batch.js';
import type { StepWork } from './works.js';

const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);

const work = JSON.parse(process.argv[2]!) as StepWork & { readonly forms: string };
const config = resolveConfig({
  preset: work.preset,
  settings: [
    `batch=${work.batch}`,
    `microBatch=${work.batch}`,
    `threads=${work.threads}`,
    `forms=${work.forms}`,
  ],
});

const engine = engineFor(config.device);
const stepper = await createStepper(config, config.whole, engine);
const batch = randomBatch(config, 0);
let step = 0;
const run = () => stepper.step([batch], config.learningRate, ++step);
await run();
say({
  ready: true,
  detail: `${engine.name}, ${engine.provider}, forms ${config.forms}`,
  threads: work.threads,
});
for await (const _ of createInterface({ input: process.stdin })) {
  const start = performance.now();
  await run();
  say({ seconds: (performance.now() - start) / 1000, peakBytes: peakMemoryBytes() });
}
