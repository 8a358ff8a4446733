import { LOSS_SCALING } from '../../graphs/nn/loss-scale.js';
import { gradientName, nextName } from '../../graphs/programs/built.js';
import { microBatches, type TrainingConfig } from '../config/training.js';
import { buildGraph, loadGraph, type Workload } from '../execution/models.js';
import type { State } from '../runs/state.js';
import type { Engine, Session, Tensors } from '../runtime/engine.js';
import { floatTensor, freshState } from './fresh-state.js';
import type { Stepper, StepperOptions, StepResult } from './stepper.js';

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
 * A run for every step, and the state in this process's memory. Where gradients are to be seen between micro-batches or
 * processes, one model adds them up and another applies them.
 */
export async function createHostStepper(
  workload: Workload,
  config: TrainingConfig,
  engine: Engine,
  { start, reduce }: StepperOptions = {},
): Promise<Stepper> {
  const { count } = microBatches(config);
  const isWhole = count === 1 && !reduce;
  const load = async (kind: 'step' | 'accumulate' | 'apply') => {
    const built = buildGraph(kind, workload, config);
    return { ...built, session: await loadGraph(built, config, engine) };
  };
  const first = await load(isWhole ? 'step' : 'accumulate');
  const second = isWhole ? null : await load('apply');
  const state = start ?? freshState(first.parameters, config);
  const buffer = new DoubleBuffer(state);
  const trainable = first.parameters.filter((p) => p.trainable);
  const loss = scalar(0);
  const norm = scalar(0);
  const scale = state.has(LOSS_SCALING) ? scalar(0) : null;
  const scaleTarget: Tensors = scale ? { loss_scale: scale } : {};
  const resultOf = (mean: number): StepResult => ({
    loss: mean,
    gradientNorm: norm.data[0] as number,
    ...(scale && { lossScale: scale.data[0] as number }),
  });

  /** Sums of gradients live in a buffer of their own: a checkpoint never sees them. */
  const summed = second ? trainable : [];
  const sums = new DoubleBuffer(new Map(summed.map((p) => [gradientName(p.name), floatTensor(p.shape)])));
  const accumulate = async (batches: readonly Tensors[]): Promise<{ sums: State; loss: number }> => {
    for (const { data } of sums.current.values()) (data as Float32Array).fill(0);
    let total = 0;
    for (const batch of batches) {
      const feeds: Tensors = { ...batch, ...Object.fromEntries(state) };
      const statistics = first.parameters.filter(
        (p) => !p.trainable && first.session.outputs.includes(nextName(p.name)),
      );
      const fresh = Object.fromEntries(statistics.map((p) => [nextName(p.name), floatTensor(p.shape)]));
      const wanted = Object.fromEntries(
        first.session.inputs.filter((name) => name in feeds).map((name) => [name, feeds[name]!]),
      );
      await sums.run(first.session, wanted, { ...fresh, loss });
      for (const p of statistics) state.set(p.name, fresh[nextName(p.name)]!);
      total += loss.data[0] as number;
    }
    return { sums: sums.current, loss: total / batches.length };
  };

  const makeStep = async (
    batches: readonly Tensors[],
    learningRate: number,
    step: number,
  ): Promise<StepResult> => {
    const scalars = { learning_rate: scalar(learningRate), step: scalar(step) };
    if (!second) {
      await buffer.run(
        first.session,
        { ...batches[0], ...scalars },
        { loss, gradient_norm: norm, ...scaleTarget },
      );
      return resultOf(loss.data[0] as number);
    }
    const found = await accumulate(batches);
    await reduce?.(found.sums);
    await buffer.run(
      second.session,
      { ...Object.fromEntries(found.sums), ...scalars },
      { gradient_norm: norm, ...scaleTarget },
    );
    return resultOf(found.loss);
  };

  return {
    parameters: first.parameters,
    stepsAtOnce: 1,
    readState: async () => state,
    async run(steps, learningRate, firstStep) {
      const results: StepResult[] = [];
      for (const [i, batches] of steps.entries())
        results.push(await makeStep(batches, learningRate, firstStep + i));
      return results;
    },
    async release() {
      await first.session.release();
      await second?.session.release();
    },
  };
}
