/** The contestant that is this package: training steps on random tiles. See contestant.ts for what it says. */
import { createInterface } from 'node:readline';
import { resolveConfig } from '../config.js';
import type { Batch } from '../data/loader.js';
import { partMatrices, samplePart } from '../data/parts.js';
import { peakMemoryBytes } from '../machine.js';
import { randomStream } from '../random.js';
import { engineFor } from '../runtime/index.js';
import { createStepper } from '../train/stepper.js';
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

/** Wholes of noise, and a random part of each. */
function randomBatch(): Batch {
  const random = randomStream(config.seed, 'bench');
  const [x, y, z] = config.whole;
  const size = config.batch;
  const samples = Array.from({ length: size }, () =>
    partMatrices(samplePart(random, config.whole, config.part), config.whole, config.whole),
  );
  const join = (axis: 'depth' | 'height' | 'width') =>
    Float32Array.from(samples.flatMap((matrices) => [...matrices[axis]]));
  return {
    index: 0,
    size,
    used: size,
    tiles: [],
    wholes: Int16Array.from({ length: size * x * y * z }, () => random.between(-1000, 1000)),
    depth: join('depth'),
    height: join('height'),
    width: join('width'),
    tile: config.whole,
    whole: config.whole,
  };
}

const engine = engineFor(config.device);
const stepper = await createStepper(config, config.whole, engine);
const batch = randomBatch();
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
