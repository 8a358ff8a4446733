/** When the learning rate falls, and when training stops. PyTorch's ReduceLROnPlateau: mode min, relative threshold. */
export interface PlateauOptions {
  /** The rate is multiplied by this. */
  readonly factor: number;
  /** Validations without improvement that are tolerated. */
  readonly patience: number;
  /** An improvement is a loss below best · (1 − minDelta). */
  readonly minDelta: number;
  readonly minLearningRate: number;
  /** Validations without improvement after which training stops; null never. */
  readonly earlyStop: number | null;
}

export interface PlateauState {
  readonly learningRate: number;
  /** Least validation loss so far; null before the first. */
  readonly best: number | null;
  /** Validations without improvement since the last one or the last reduction. */
  readonly badValidations: number;
  /** Validations without improvement since the last one. */
  readonly sinceBest: number;
}

/** Rate changes smaller than this are not made, as in PyTorch. */
const LEAST_CHANGE = 1e-8;

export const plateauStart = (learningRate: number): PlateauState => ({
  learningRate,
  best: null,
  badValidations: 0,
  sinceBest: 0,
});

/** The rate of a step, from 1, while it still rises to the schedule's in a straight line, and afterwards. */
export const warmedUp = (learningRate: number, step: number, warmup: number): number =>
  step < warmup ? (learningRate * step) / warmup : learningRate;

/** Moves the schedule by one validation. */
export function plateauNext(
  state: PlateauState,
  validationLoss: number,
  { factor, patience, minDelta, minLearningRate, earlyStop }: PlateauOptions,
): { state: PlateauState; reduced: boolean; stop: boolean } {
  const improved = validationLoss < (state.best ?? Number.POSITIVE_INFINITY) * (1 - minDelta);
  const best = improved ? validationLoss : state.best;
  const bad = improved ? 0 : state.badValidations + 1;
  const sinceBest = improved ? 0 : state.sinceBest + 1;
  const due = bad > patience;
  const lower = Math.max(state.learningRate * factor, minLearningRate);
  const reduced = due && state.learningRate - lower > LEAST_CHANGE;
  return {
    state: {
      learningRate: reduced ? lower : state.learningRate,
      best,
      badValidations: due ? 0 : bad,
      sinceBest,
    },
    reduced,
    stop: earlyStop !== null && sinceBest >= earlyStop,
  };
}
