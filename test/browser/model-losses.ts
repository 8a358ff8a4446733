/** The same steps of a network on any engine. Imports nothing of Node.js: a page runs them too. */
import type { Engine, Tensors } from '../../src/runtime/engine.js';
import { openModelTraining } from '../../src/train/model-training.js';

export interface Steps {
  readonly model: Uint8Array;
  /** `x` and `target`. */
  readonly batch: Tensors;
  /** Learning rate. */
  readonly rate: number;
}

const STEPS = 3;

/** Mean squared errors before each of a few steps of Adam. */
export async function modelLosses(engine: Engine, { model, batch, rate }: Steps): Promise<number[]> {
  const training = await openModelTraining({
    ...{ engine, model, inputs: { x: batch.x!.shape }, loss: { name: 'meanSquaredError' }, threads: 1 },
    optimizer: { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weightDecay: 0 },
  });
  const losses: number[] = [];
  for (let i = 0; i < STEPS; i++) losses.push((await training.step(batch, rate)).loss);
  await training.release();
  return losses;
}
