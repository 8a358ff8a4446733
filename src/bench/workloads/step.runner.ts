/** The runners that are this package: training steps. */
import { openEngine } from '../../execution/open-engine.js';
import { createStepper } from '../../train/create-stepper.js';
import { serveRounds } from '../runner-loop.js';
import { openTraining, type StepJob } from './training.js';

const job = JSON.parse(process.argv[2]!) as StepJob;
const { device, threads } = job;
const { config, workload, next, waited } = openTraining(job);
const engine = await openEngine(device);
const stepper = await createStepper(workload, config, engine);
// On a GPU, training makes many steps in a run.
const jobs = device === 'cpu' ? 1 : 8;
let step = 1;
await serveRounds(
  async () => {
    const steps = [];
    while (steps.length < jobs) steps.push([await next()]);
    const first = step;
    step += jobs;
    return stepper.run(steps, config.learningRate, first);
  },
  `${engine.name}, ${engine.provider}, forms ${config.forms}${device === 'cpu' ? '' : ", TF32 off, memory: the host's"}`,
  threads,
  { jobs, ...(waited && { waited }) },
);
