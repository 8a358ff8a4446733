import { LOSS_SCALING } from '../../graphs/nn/loss-scale.js';
import { nextName } from '../../graphs/programs/built.js';
import { microBatches, type StepConfig } from '../config/training.js';
import { alone } from '../distributed/ranks.js';
import { buildGraph, loadGraph, type Workload } from '../execution/models.js';
import { loadSynchronised } from '../execution/stages.js';
import type { State } from '../runs/state.js';
import type { Engine, Session, Tensors } from '../runtime/engine.js';
import { createAccumulator } from './accumulator.js';
import { floatTensor, freshState } from './fresh-state.js';
import { ratesOf, type Stepper, type StepperOptions, type StepResult } from './stepper.js';

const scalar = (value: number) => floatTensor([], Float32Array.of(value));

/**
 * Two buffers for everything that runs return anew: one is read while the other is written, so no step allocates
 * parameters.
 */
class DoubleBuffer {
  #spare: Tensors;

  constructor(readonly current: State) {
    this.#spare = Object.fromEntries([...current].map(([name, t]) => [name, floatTensor(t.shape)]));
  }

  /** Runs a model on the current values, and makes the outputs that are new values of them current. */
  async run(session: Session, feeds: Tensors, extra: Tensors): Promise<void> {
    const taken = session.inputs.filter((name) => this.current.has(name));
    const returned = [...this.current.keys()].filter((name) => session.outputs.includes(nextName(name)));
    const values = Object.fromEntries(taken.map((name) => [name, this.current.get(name)!]));
    const targets = Object.fromEntries(returned.map((name) => [nextName(name), this.#spare[name]!]));
    await session.run({ ...values, ...feeds }, { ...targets, ...extra });
    const freed = Object.fromEntries(returned.map((name) => [name, this.current.get(name)!]));
    for (const name of returned) this.current.set(name, this.#spare[name]!);
    this.#spare = { ...this.#spare, ...freed };
  }
}

/**
 * A run for every step, and the state in this process's memory. Where a step has micro-batches, one model adds up their
 * gradients, and another applies them.
 */
export async function createHostStepper(
  workload: Workload,
  config: StepConfig,
  engine: Engine,
  { start, ranks = alone, syncNorm = false }: StepperOptions = {},
): Promise<Stepper> {
  const load = async (kind: 'step' | 'accumulate' | 'apply') => {
    const built = buildGraph(kind, workload, config);
    const session =
      kind === 'accumulate' && syncNorm
        ? await loadSynchronised(built, config, engine, ranks)
        : await loadGraph(built, config, engine);
    return { ...built, session };
  };
  const isWhole = microBatches(config).count === 1;
  const forward = await load(isWhole ? 'step' : 'accumulate');
  const { parameters, session } = forward;
  const apply = isWhole ? null : (await load('apply')).session;
  const state = start ?? freshState(parameters, config);
  const buffer = new DoubleBuffer(state);
  const accumulate = apply && createAccumulator(session, forward, config, state, { ranks, syncNorm });
  const loss = scalar(0);
  const norm = scalar(0);
  const scale = state.has(LOSS_SCALING) ? scalar(0) : null;
  const scaleTarget: Tensors = scale ? { loss_scale: scale } : {};
  const resultOf = (mean: number): StepResult => ({
    loss: mean,
    gradientNorm: norm.data[0] as number,
    ...(scale && { lossScale: scale.data[0] as number }),
  });

  const makeStep = async (
    batches: readonly Tensors[],
    learningRate: number,
    step: number,
  ): Promise<StepResult> => {
    const scalars = { learning_rate: scalar(learningRate), step: scalar(step) };
    if (!accumulate) {
      const into = { loss, gradient_norm: norm, ...scaleTarget };
      await buffer.run(session, { ...batches[0], ...scalars }, into);
      return resultOf(loss.data[0] as number);
    }
    const found = await accumulate(batches);
    await buffer.run(apply, { ...found.gradients, ...scalars }, { gradient_norm: norm, ...scaleTarget });
    return resultOf(found.loss);
  };

  return {
    parameters,
    stepsAtOnce: 1,
    readState: async () => state,
    async run(steps, learningRate, first) {
      const results: StepResult[] = [];
      const rates = ratesOf(learningRate, steps.length);
      for (const [i, batches] of steps.entries()) results.push(await makeStep(batches, rates[i]!, first + i));
      return results;
    },
    async release() {
      await session.release();
      await apply?.release();
    },
  };
}
