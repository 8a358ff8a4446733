import type { Parameter } from '../../graphs/nn/module.js';
import { optimizerSlots } from '../../graphs/nn/optimizers.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { gradientName, nextName, slotName } from '../../graphs/programs/built.js';
import { microBatches, type TrainingConfig } from '../config/training.js';
import { buildGraph, loadGraph, type Workload } from '../execution/models.js';
import type { State } from '../runs/state.js';
import type { Engine, EngineTensor, Session, Tensors } from '../runtime/engine.js';
import { initialize } from '../weights/initialize.js';

export interface StepResult {
  readonly loss: number;
  readonly gradientNorm: number;
}

/** Runs training steps on a state of its own, which may live anywhere. */
export interface Stepper {
  readonly parameters: readonly Parameter[];
  /** The state after the last step, in this process's memory. It stays as it is until the next step but one. */
  readState(): Promise<State>;
  /** @param batches what the graph is fed, one a micro-batch  @param step number of this step, from 1 */
  step(batches: readonly Tensors[], learningRate: number, step: number): Promise<StepResult>;
  release(): Promise<void>;
}

const float = (
  shape: readonly number[],
  data: Float32Array = new Float32Array(sizeOf(shape)),
): EngineTensor => ({
  type: 'float32',
  shape,
  data,
});
const scalar = (value: number) => float([], Float32Array.of(value));

/** The state of a network before its first step. @param values of every parameter; those of an untrained one without */
export function freshState(
  parameters: readonly Parameter[],
  config: TrainingConfig,
  values: ReadonlyMap<string, Float32Array> = initialize(parameters, config.seed),
): State {
  const state: State = new Map(parameters.map(({ name, shape }) => [name, float(shape, values.get(name))]));
  for (const { name, shape } of parameters.filter((p) => p.trainable)) {
    for (const slot of optimizerSlots(config.optimizer)) state.set(slotName(slot, name), float(shape));
  }
  return state;
}

/**
 * Two buffers for everything that runs return anew: one is read while the other is written, so no step allocates
 * parameters.
 */
class DoubleBuffer {
  #spare: Tensors;

  constructor(readonly current: State) {
    this.#spare = Object.fromEntries([...current].map(([name, t]) => [name, float(t.shape)]));
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

export interface StepperOptions {
  /** State of a checkpoint, or of a network that was loaded; that of an untrained one without it. */
  readonly start?: State;
  /**
   * Replaces the gradients of a step's micro-batches, summed up, by their mean over all processes that train together. Each
   * process then applies the same update; running statistics stay its own.
   */
  readonly reduce?: (gradients: State) => Promise<void>;
}

/**
 * Loads what a step needs: one model that does everything, or, where gradients are to be seen between micro-batches or
 * processes, one that adds them up and one that applies them.
 */
export async function createStepper(
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

  /** Sums of gradients live in a buffer of their own: a checkpoint never sees them. */
  const summed = second ? trainable : [];
  const sums = new DoubleBuffer(new Map(summed.map((p) => [gradientName(p.name), float(p.shape)])));
  const accumulate = async (batches: readonly Tensors[]): Promise<{ sums: State; loss: number }> => {
    for (const { data } of sums.current.values()) (data as Float32Array).fill(0);
    let total = 0;
    for (const batch of batches) {
      const feeds: Tensors = { ...batch, ...Object.fromEntries(state) };
      const statistics = first.parameters.filter(
        (p) => !p.trainable && first.session.outputs.includes(nextName(p.name)),
      );
      const fresh = Object.fromEntries(statistics.map((p) => [nextName(p.name), float(p.shape)]));
      const wanted = Object.fromEntries(
        first.session.inputs.filter((name) => name in feeds).map((name) => [name, feeds[name]!]),
      );
      await sums.run(first.session, wanted, { ...fresh, loss });
      for (const p of statistics) state.set(p.name, fresh[nextName(p.name)]!);
      total += loss.data[0] as number;
    }
    return { sums: sums.current, loss: total / batches.length };
  };

  return {
    parameters: first.parameters,
    readState: async () => state,
    async step(batches, learningRate, step) {
      const scalars = { learning_rate: scalar(learningRate), step: scalar(step) };
      if (!second) {
        await buffer.run(first.session, { ...batches[0], ...scalars }, { loss, gradient_norm: norm });
        return { loss: loss.data[0] as number, gradientNorm: norm.data[0] as number };
      }
      const found = await accumulate(batches);
      await reduce?.(found.sums);
      await buffer.run(
        second.session,
        { ...Object.fromEntries(found.sums), ...scalars },
        { gradient_norm: norm },
      );
      return { loss: found.loss, gradientNorm: norm.data[0] as number };
    },
    async release() {
      await first.session.release();
      await second?.session.release();
    },
  };
}
