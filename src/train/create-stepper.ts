import { microBatches, type StepConfig } from '../config/training.js';
import { runsOnGpu, type Workload } from '../execution/models.js';
import type { Engine } from '../runtime/engine.js';
import { createHostStepper } from './host-stepper.js';
import { createLoopStepper } from './loop-stepper.js';
import type { Stepper, StepperOptions } from './stepper.js';

/** Loads what a training's steps need: of several in a run where that pays, and nothing is to be seen between micro-batches. */
export async function createStepper(
  workload: Workload,
  config: StepConfig,
  engine: Engine,
  options: StepperOptions = {},
): Promise<Stepper> {
  const pays = runsOnGpu(engine) || (options.inLoop === true && engine.provider === 'cpu');
  return pays && microBatches(config).count === 1
    ? createLoopStepper(workload, config, engine, options.start)
    : createHostStepper(workload, config, engine, options);
}
