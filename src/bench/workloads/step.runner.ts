/** The runners that are this package: training steps on random tiles. */
import { type Config, type PresetName, resolveConfig } from '../../config/pretraining.js';
import { openEngine } from '../../execution/open-engine.js';
import type { Device } from '../../runtime/device.js';
import { createStepper } from '../../train/create-stepper.js';
import { batchFeeds, proxyWorkload } from '../../train/proxy.js';
import { serveRounds, unavailable } from '../runner-loop.js';
import { randomBatch } from './random-batch.js';

const { preset, batch, threads, device, forms } = JSON.parse(process.argv[2]!) as {
  preset: PresetName;
  batch: number;
  threads: number;
  device: Device;
  forms: Config['forms'];
};
const config = resolveConfig({
  preset,
  config: { batch, microBatch: batch, threads, forms },
});
const engine = await openEngine(device).catch((error: Error) => unavailable(error.message));
const stepper = await createStepper(proxyWorkload(config, config.whole), config, engine);
const tiles = batchFeeds(randomBatch(config, 0));
// On a GPU, training makes many steps in a run.
const jobs = device === 'cpu' ? 1 : 8;
let step = 1;
await serveRounds(
  () => {
    const first = step;
    step += jobs;
    return stepper.run(new Array(jobs).fill([tiles]), config.learningRate, first);
  },
  `${engine.name}, ${engine.provider}, forms ${config.forms}${device === 'cpu' ? '' : ", TF32 off, memory: the host's"}`,
  threads,
  { jobs },
);
