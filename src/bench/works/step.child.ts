/** The contestants that are this package: training steps on random tiles. */
import { type PresetName, resolveConfig } from '../../config.js';
import { engineFor } from '../../runtime/index.js';
import { createStepper } from '../../train/stepper.js';
import { compete } from '../compete.js';
import { randomBatch } from './random-batch.js';

const { preset, batch, threads, forms } = JSON.parse(process.argv[2]!) as {
  preset: PresetName;
  batch: number;
  threads: number;
  forms: string;
};
const config = resolveConfig({
  preset,
  settings: [`batch=${batch}`, `microBatch=${batch}`, `threads=${threads}`, `forms=${forms}`],
});
const engine = engineFor(config.device);
const stepper = await createStepper(config, config.whole, engine);
const tiles = randomBatch(config, 0);
let step = 0;
await compete(
  () => stepper.step([tiles], config.learningRate, ++step),
  `${engine.name}, ${engine.provider}, forms ${config.forms}`,
  threads,
);
