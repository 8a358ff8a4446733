/** The same training on any engine. Imports nothing of Node.js: pages run it too. */
import { nextName } from '../../../graphs/programs/built.js';
import type { Engine, EngineTensor, Tensors } from '../../runtime/engine.js';
import type { OnDeviceModels, TrainingSession } from '../../runtime/training-session.js';

/** What every engine is given: one graph, one state, the batches one after the other. */
export interface TrainingWorkload {
  /** A whole training step. */
  readonly step: Uint8Array;
  /** The same as artifacts of ONNX Runtime's training interface. */
  readonly artifacts: OnDeviceModels;
  /** Parameters, running statistics and the optimiser's state at the start. */
  readonly state: Tensors;
  readonly batches: readonly Tensors[];
  readonly learningRate: number;
  readonly threads: number;
}

export interface Curve {
  /** Of each step. */
  readonly losses: readonly number[];
  /** Each step took. */
  readonly seconds: readonly number[];
}

const scalar = (value: number): EngineTensor => ({
  type: 'float32',
  shape: [],
  data: Float32Array.of(value),
});

async function timed(batches: readonly Tensors[], step: (batch: Tensors, number: number) => Promise<number>) {
  const losses: number[] = [];
  const seconds: number[] = [];
  for (const [i, batch] of batches.entries()) {
    const began = performance.now();
    losses.push(await step(batch, i + 1));
    seconds.push((performance.now() - began) / 1000);
  }
  return { losses, seconds };
}

/** Trains by the graph that is a whole step: its outputs are the next step's inputs. */
export async function stepCurve(engine: Engine, workload: TrainingWorkload): Promise<Curve> {
  const session = await engine.load(workload.step, { threads: workload.threads });
  try {
    let state = workload.state;
    return await timed(workload.batches, async (batch, number) => {
      const feeds: Tensors = {
        ...state,
        ...batch,
        learning_rate: scalar(workload.learningRate),
        step: scalar(number),
      };
      const out = await session.run(Object.fromEntries(session.inputs.map((name) => [name, feeds[name]!])));
      state = Object.fromEntries(
        Object.keys(state).map((name) => [name, out[nextName(name)] ?? state[name]!]),
      );
      return out.loss!.data[0] as number;
    });
  } finally {
    await session.release();
  }
}

/** Trains by ONNX Runtime's own training interface. */
export async function sessionCurve(
  open: (models: OnDeviceModels) => Promise<TrainingSession>,
  workload: TrainingWorkload,
): Promise<Curve> {
  const session = await open(workload.artifacts);
  try {
    return await timed(workload.batches, async (batch) => {
      const { loss } = await session.accumulate(batch);
      await session.update();
      return loss!.data[0] as number;
    });
  } finally {
    await session.release();
  }
}
