import { LEAST_LOSS_SCALE } from '../../graphs/nn/loss-scale.js';
import type { TrainingConfig } from '../config/training.js';
import { UserError } from '../errors.js';
import type { Progress } from '../progress.js';
import type { TrainState } from '../runs/checkpoint.js';
import type { Metrics } from '../runs/metrics.js';
import type { State } from '../runs/state.js';
import type { EventWriter } from '../runs/tensorboard.js';
import type { Tensors } from '../runtime/engine.js';
import { plateauNext, warmedUp } from './schedule.js';
import type { Stepper } from './stepper.js';

/** How good a network is on the validation samples. */
export interface Validation {
  readonly loss: number;
  /** What the schedule, the early stop and the best checkpoint go by, the lower the better; the loss without it. */
  readonly criterion?: number;
  /** Whatever else is worth keeping, by name. */
  readonly scores: Readonly<Record<string, number>>;
  /** How much outputs differ between samples; 0 when the network has collapsed. Not watched without it. */
  readonly outputDeviation?: number;
}

/** What the loop works with; all of it is open, and the caller closes it. */
export interface LoopParts {
  readonly config: TrainingConfig;
  readonly stepper: Stepper;
  /** Micro-batches of a step that this process computes. */
  readonly microBatches: number;
  /** What the graph is fed for the next of them. */
  next(): Promise<Tensors>;
  validate(state: State): Promise<Validation>;
  /** What a validation's loss is called. */
  readonly lossName: string;
  readonly metrics: Metrics;
  readonly events: EventWriter;
  readonly progress: Progress;
  /** Samples of an epoch. */
  readonly epochLength: number;
  /** Steps between validations. */
  readonly validateEvery: number;
  /** Steps whose checkpoints are kept. */
  readonly kept: ReadonlySet<number>;
  /** Saves the stepper's state under one or more names, all of them or none that is torn. */
  save(names: readonly ('last' | 'best' | number)[], state: TrainState): Promise<void>;
  /** True once the user has asked to stop. */
  interrupted(): Promise<boolean>;
  /** Told how long each run of steps took with its data, without validation. */
  stepped(seconds: number): void;
}

export type Ending = 'finished' | 'early-stop' | 'interrupted';

/** Outputs that differ less than this between samples, twice in a row, are a constant: the network has collapsed. */
const COLLAPSED = 1e-4;
/** A network that has just begun gives nearly the mean whole; that is no collapse yet. */
const COLLAPSE_GRACE_STEPS = 200;

/**
 * Trains from `state` until the last step, early stop or interruption.
 * @returns the state that was saved last
 * @throws UserError of kind `training` when the loss is no number any more or the network has collapsed; the
 *   checkpoints saved before still stand
 */
export async function trainLoop(
  parts: LoopParts,
  start: TrainState,
): Promise<{ state: TrainState; ending: Ending }> {
  const { config, stepper, metrics, events, progress } = parts;
  if (start.stopped) return { state: start, ending: 'early-stop' };
  let state = start;
  // At the beginning; and where another program made the steps, so that what it has learnt counts among the best.
  if (state.best === null) state = await validate(parts, state);

  while (state.step < config.steps) {
    const began = performance.now();
    const steps = await nextSteps(parts, state.step);
    const rates = steps.map((_, i) =>
      warmedUp(state.schedule.learningRate, state.step + 1 + i, config.schedule.warmup),
    );
    const results = await stepper.run(steps, rates, state.step + 1);
    parts.stepped((performance.now() - began) / 1000);
    for (const [i, { loss, gradientNorm, lossScale }] of results.entries()) {
      const step = state.step + 1;
      const learningRate = rates[i]!;
      const isGood = Number.isFinite(loss) && Number.isFinite(gradientNorm);
      if (!isGood && lossScale === undefined) throw notANumber(step, loss, state);
      if (!isGood && lossScale! < LEAST_LOSS_SCALE) throw scaleGone(step, loss, state);
      const epoch = Math.floor(((step - 1) * config.batch) / parts.epochLength);
      const scaled: Record<string, number> = lossScale === undefined ? {} : { lossScale };
      // A skipped step has no gradient.
      const found: Record<string, number> = isGood ? { loss, gradientNorm } : {};
      metrics.append({ step, epoch, ...found, learningRate, ...scaled });
      if (isGood) {
        events.scalar('train/loss', step, loss);
        events.scalar('train/gradient_norm', step, gradientNorm);
      }
      if (lossScale !== undefined) events.scalar('train/loss_scale', step, lossScale);
      events.scalar('train/learning_rate', step, learningRate);
      state = { ...state, step, epoch };
    }

    const { step } = state;
    const last = step === config.steps;
    if (isValidated(parts, step)) state = await validate(parts, state);
    else if (parts.kept.has(step)) await persist(parts, state, [step, 'last']);
    else if (step % config.checkpoints.every === 0) await persist(parts, state, ['last']);
    const loss = results.at(-1)!.loss.toFixed(4);
    progress.update(step, { loss, lr: rates.at(-1)!.toPrecision(2) });

    if (state.stopped) return { state, ending: 'early-stop' };
    if (!last && (await parts.interrupted())) {
      await persist(parts, state, ['last']);
      return { state, ending: 'interrupted' };
    }
  }
  return { state, ending: 'finished' };
}

const isValidated = ({ config, validateEvery }: LoopParts, step: number): boolean =>
  step === config.steps || step % validateEvery === 0;

/** After these steps something is done with the state. */
const isLooked = (parts: LoopParts, step: number): boolean =>
  isValidated(parts, step) || parts.kept.has(step) || step % parts.config.checkpoints.every === 0;

/** What the next run's steps are fed: as many steps as the stepper wants, up to the next whose state is looked at. */
async function nextSteps(parts: LoopParts, done: number): Promise<Tensors[][]> {
  const { stepsAtOnce } = parts.stepper;
  const steps: Tensors[][] = [];
  do {
    const batches: Tensors[] = [];
    while (batches.length < parts.microBatches) batches.push(await parts.next());
    steps.push(batches);
  } while (steps.length < stepsAtOnce && !isLooked(parts, done + steps.length));
  return steps;
}

/** Validates, moves the schedule, saves, and returns the new state. */
async function validate(parts: LoopParts, state: TrainState): Promise<TrainState> {
  const { config, stepper, metrics, events, progress, lossName } = parts;
  const { step } = state;
  const { loss, scores, outputDeviation, criterion } = await parts.validate(await stepper.readState());
  if (!Number.isFinite(loss)) throw notANumber(step, loss, state);
  const isFlat = outputDeviation !== undefined && outputDeviation < COLLAPSED;
  const flat = step >= COLLAPSE_GRACE_STEPS && isFlat ? state.flatValidations + 1 : 0;
  if (flat >= 2) throw collapsed(step, loss, state);

  const watched: Record<string, number> = outputDeviation === undefined ? {} : { outputDeviation };
  // That of the step before; at the beginning, of the first one.
  const learningRate = warmedUp(state.schedule.learningRate, Math.max(step, 1), config.schedule.warmup);
  metrics.append({ step, validationLoss: loss, ...scores, ...watched, learningRate });
  events.scalar('validation/loss', step, loss);
  for (const [name, score] of Object.entries(scores)) events.scalar(`validation/${name}`, step, score);
  const untrained = step === 0;
  const moved = untrained ? null : plateauNext(state.schedule, criterion ?? loss, config.schedule);
  const { best } = state;
  const improved = best === null || (criterion ?? loss) < (best.criterion ?? best.validationLoss);
  if (moved?.reduced)
    progress.log(
      `step ${step}: no improvement in ${config.schedule.patience + 1} validations, learning rate now ${moved.state.learningRate}`,
    );
  if (moved?.stop)
    progress.log(`step ${step}: no improvement in ${config.schedule.earlyStop} validations, stopping early`);
  const praise = untrained ? ', untrained' : improved ? ', the best so far' : '';
  const shown = Object.entries(scores).map(([name, score]) => `, ${name} ${score.toFixed(4)}`);
  progress.log(`step ${step}: validation ${lossName} ${loss.toFixed(5)}${shown.join('')}${praise}`);

  const next: TrainState = {
    ...state,
    schedule: moved?.state ?? state.schedule,
    best: improved ? { step, validationLoss: loss, ...(criterion !== undefined && { criterion }) } : best,
    flatValidations: flat,
    stopped: moved?.stop ?? false,
  };
  return persist(parts, next, [
    ...(improved ? (['best'] as const) : []),
    ...(parts.kept.has(step) ? [step] : []),
    'last',
  ]);
}

/** Saves; `last` comes last, so that a kill between two files only repeats work. */
async function persist(
  parts: LoopParts,
  state: TrainState,
  names: readonly ('last' | 'best' | number)[],
): Promise<TrainState> {
  parts.metrics.sync();
  const saved = { ...state, metricsBytes: parts.metrics.bytes() };
  await parts.save(names, saved);
  parts.events.flush();
  return saved;
}

const goBack = (state: TrainState) =>
  state.best
    ? `the best checkpoint, from step ${state.best.step}, is kept; start a new run with a lower learning rate, for example --set learningRate=${state.schedule.learningRate / 10}`
    : `start a new run with a lower learning rate, for example --set learningRate=${state.schedule.learningRate / 10}`;

const notANumber = (step: number, loss: number, state: TrainState) =>
  new UserError('training', {
    what: 'the training has diverged: the loss or its gradient is no longer finite',
    where: `step ${step}`,
    got: `a loss of ${loss} at a learning rate of ${state.schedule.learningRate}`,
    fix: goBack(state),
  });

const scaleGone = (step: number, loss: number, state: TrainState) =>
  new UserError('training', {
    what: 'the gradients overflow float16 whatever the loss is scaled by: the training has diverged, or float16 does not suit it',
    where: `step ${step}`,
    got: `a loss of ${loss}, and a loss scale below ${LEAST_LOSS_SCALE}`,
    expected: `a loss scale that settles, as lossScale in metrics.jsonl`,
    fix: `${goBack(state)}, or with --precision fp32`,
  });

const collapsed = (step: number, loss: number, state: TrainState) =>
  new UserError('training', {
    what: 'the network has collapsed: it answers everything with the same output',
    where: `step ${step}`,
    got: `a validation loss of ${loss.toFixed(4)}, and outputs that do not differ between samples`,
    fix: goBack(state),
  });
