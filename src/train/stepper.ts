import type { Parameter } from '../../graphs/nn/module.js';
import type { Ranks } from '../distributed/ranks.js';
import type { State } from '../runs/state.js';
import type { Tensors } from '../runtime/engine.js';

export interface StepResult {
  readonly loss: number;
  /** Not finite where the step was skipped, which only happens with a loss scale. */
  readonly gradientNorm: number;
  /** By what the loss was multiplied, in mixed precision. */
  readonly lossScale?: number;
}

/** Runs training steps on a state of its own, which may live anywhere. */
export interface Stepper {
  readonly parameters: readonly Parameter[];
  /** Steps that one run should make at most; it may change from run to run. */
  readonly stepsAtOnce: number;
  /** The state after the last run, in this process's memory. It stays as it is until the next run. */
  readState(): Promise<State>;
  /**
   * Makes steps, one after the other.
   * @param steps of each step what the graph is fed, one a micro-batch that this process computes
   * @param learningRate of all of them, or of each
   * @param first number of the first of these steps, from 1
   */
  run(
    steps: readonly (readonly Tensors[])[],
    learningRate: number | readonly number[],
    first: number,
  ): Promise<StepResult[]>;
  release(): Promise<void>;
}

/** A learning rate for each of some steps. */
export const ratesOf = (learningRate: number | readonly number[], steps: number): readonly number[] =>
  typeof learningRate === 'number' ? new Array<number>(steps).fill(learningRate) : learningRate;

export interface StepperOptions {
  /** State of a checkpoint, or of a network that was loaded; that of an untrained one without it. */
  readonly start?: State;
  /** Processes that make each step together, this one among them; each is given micro-batches of its own. */
  readonly ranks?: Ranks;
  /** Each micro-batch is normalised together with those that the other ranks compute at the same time. */
  readonly syncNorm?: boolean;
  /**
   * Several steps make one run on a processor too, as on a GPU. It takes as much memory again as the state: worth it where weights are large
   * beside what a step computes.
   */
  readonly inLoop?: boolean;
}
