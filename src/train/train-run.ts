/** A training from its first step, or from where it was interrupted, to its end; the folder's lock is the caller's. */
import { join } from 'node:path';
import { closing } from '../closing.js';
import type { TrainingConfig } from '../config/training.js';
import type { Loader, ReadAhead } from '../data/loading/read-ahead.js';
import { alone, isFirst, onAny, type Ranks } from '../distributed/ranks.js';
import { isDiskFull, UserError } from '../errors.js';
import { runsOnGpu, type Workload } from '../execution/models.js';
import { openSession } from '../execution/sessions.js';
import { makeFolder, removeTemporaries } from '../files.js';
import { acquireLock } from '../lock.js';
import { peakMemoryBytes } from '../machine.js';
import { type Reporting, silent } from '../progress.js';
import {
  type Checkpoint,
  checkpointPath,
  networkHash,
  saveCheckpoint,
  type TrainState,
} from '../runs/checkpoint.js';
import { noMetrics, openMetrics } from '../runs/metrics.js';
import type { State } from '../runs/state.js';
import { noEvents, openEvents } from '../runs/tensorboard.js';
import { countedEngine } from '../runtime/counted-engine.js';
import type { Engine, Tensors } from '../runtime/engine.js';
import { checkSameState } from './agreement.js';
import { createStepper } from './create-stepper.js';
import { type Ending, trainLoop, type Validation } from './loop.js';
import { keptSteps, validationInterval } from './plan.js';
import { plateauStart } from './schedule.js';
import { microBatchAt, ownMicroBatches } from './shares.js';
import type { Stepper } from './stepper.js';

export interface Training<Batch> extends Reporting {
  /** What the progress is called. */
  readonly label: string;
  readonly run: string;
  readonly config: TrainingConfig;
  readonly workload: Workload;
  readonly engine: Engine;
  /** All processes that train this run. */
  readonly ranks: Ranks;
  /** As for `createStepper`. */
  readonly syncNorm?: boolean;
  readonly inLoop?: boolean;
  /** Where to go on; null for a new run. */
  readonly checkpoint: Checkpoint | null;
  /** State of a new run; that of an untrained network without it. */
  readonly start?: State;
  /** Of the data, to be recognised when the run goes on. */
  readonly dataHash: string;
  /** What it is trained on. */
  readonly samples: number;
  /** Samples of an epoch: fewer where classes are balanced, more where each sample is used more than once. */
  readonly epochLength: number;
  openLoader(reading: Pick<ReadAhead<Batch>, 'batchAt' | 'ahead'>): Loader<Batch>;
  /** What the graphs are fed. @param number of the batch in the whole training, from 0; a run that goes on counts on */
  feeds(batch: Batch, number: number): Tensors;
  /** Called on all ranks, with the same result. */
  validate(state: State): Promise<Validation>;
  readonly lossName: string;
  /** Asked between steps; true on any rank finishes the step, saves and ends. */
  readonly interrupted?: () => boolean;
}

export interface TrainingSummary {
  readonly run: string;
  readonly ending: Ending;
  /** First and last step of this session. */
  readonly from: number;
  readonly step: number;
  readonly best: TrainState['best'];
  readonly engine: string;
  readonly provider: string;
  /** Of each rank. */
  readonly threads: number;
  readonly ranks: number;
  readonly seconds: number;
  /** While it trained: validation and saving do not count. 0 when there was no step to make. */
  readonly stepsPerSecond: number;
  readonly samplesPerSecond: number;
  /** Share of the time that training waited for data, 0 to 1. */
  readonly dataWait: number;
  readonly peakMemoryBytes: number;
  /** Copied to the GPU and back for a step: its samples, and its share of the state, which a run of steps copies once. */
  readonly copiedBytesPerStep?: number;
}

/** Makes a run's folder if need be, locks it, tidies up after a kill, and works in it; the first of several ranks does so for all. */
export async function withRunLock<T>(
  run: string,
  purpose: string,
  work: () => Promise<T>,
  ranks: Ranks = alone,
): Promise<T> {
  if (!isFirst(ranks)) return work();
  makeFolder(join(run, 'checkpoints'));
  const lock = acquireLock(run, purpose);
  try {
    removeTemporaries(run);
    removeTemporaries(join(run, 'checkpoints'));
    return await work();
  } finally {
    lock.release();
  }
}

/** Trains until the end of a run or an interruption. @throws UserError as {@link trainLoop} and on a full disk */
export async function trainRun<Batch>(training: Training<Batch>): Promise<TrainingSummary> {
  try {
    return await closing((opened) => openAndTrain(training, opened));
  } catch (error) {
    if (!(error instanceof UserError) || !isDiskFull(error)) throw error;
    throw new UserError('disk', { ...error.facts, fix: 'free some space, and continue with --resume' });
  }
}

async function openAndTrain<Batch>(
  training: Training<Batch>,
  opened: (close: () => unknown) => void,
): Promise<TrainingSummary> {
  const { run, config, engine, ranks, syncNorm = false, inLoop = false, checkpoint } = training;
  const started = performance.now();
  const start = checkpoint?.tensors ?? training.start;
  const own = ownMicroBatches(config, ranks);
  const batchAt = microBatchAt(config, ranks, checkpoint?.state.step ?? 0, syncNorm);
  let made: Stepper | undefined;
  // Before the stepper: its threads start, and read the first batches, while graphs are built.
  const loader = training.openLoader({
    ahead: () => 2 * Math.max(1, config.workers) + own * (made?.stepsAtOnce ?? 1),
    batchAt,
  });
  opened(() => loader.close());
  // A processor reads and writes tensors where they are.
  const gpu = runsOnGpu(engine) ? countedEngine(engine) : null;
  const stepper = await createStepper(training.workload, config, gpu?.engine ?? engine, {
    ...{ ranks, syncNorm, inLoop },
    ...(start && { start }),
  });
  opened(() => stepper.release());
  made = stepper;
  const state: TrainState = checkpoint?.state ?? {
    step: 0,
    epoch: 0,
    schedule: plateauStart(config.learningRate),
    best: null,
    flatValidations: 0,
    stopped: false,
    metricsBytes: 0,
    seed: config.seed,
    samples: training.samples,
    networkHash: networkHash(stepper.parameters),
    dataHash: training.dataHash,
  };
  let taken = 0;
  const writes = isFirst(ranks);
  const metrics = writes ? openMetrics(join(run, 'metrics.jsonl'), state.metricsBytes) : noMetrics;
  opened(() => metrics.close());
  const events = writes ? openEvents(join(run, 'events'), state.step + 1) : noEvents;
  opened(() => events.close());
  const { reporter = silent } = training;
  const progress = reporter.start({
    label: training.label,
    total: config.steps,
    unit: 'steps',
    start: state.step,
  });
  opened(() => progress.stop());
  const record = writes ? openSession(run) : () => {};
  let trainingSeconds = 0;
  const summaryOf = (step: number, best: TrainState['best'], ending: Ending): TrainingSummary => {
    const stepsPerSecond = trainingSeconds > 0 ? (step - state.step) / trainingSeconds : 0;
    return {
      run,
      ending,
      from: state.step,
      step,
      best,
      engine: engine.name,
      provider: engine.provider,
      threads: config.threads,
      ranks: ranks.size,
      seconds: (performance.now() - started) / 1000,
      stepsPerSecond,
      samplesPerSecond: stepsPerSecond * config.batch,
      ...(gpu && { copiedBytesPerStep: gpu.bytes() / Math.max(1, step - state.step) }),
      dataWait: trainingSeconds > 0 ? Math.min(loader.waitSeconds() / trainingSeconds, 1) : 0,
      peakMemoryBytes: peakMemoryBytes(),
    };
  };
  if (checkpoint) progress.log(`resuming from step ${state.step}`);
  const shared = ranks.size > 1 ? `, ${ranks.description}, each with threads: ${config.threads}` : '';
  progress.log(`device ${config.device}: ${engine.name}, ${engine.provider}${shared}`);
  const { state: end, ending } = await trainLoop(
    {
      config,
      stepper,
      microBatches: own,
      next: async () => training.feeds(await loader.next(), batchAt(taken++)),
      validate: training.validate,
      lossName: training.lossName,
      metrics,
      events,
      progress,
      epochLength: training.epochLength,
      validateEvery: validationInterval(config, training.epochLength),
      kept: keptSteps(config),
      save: async (names, next) => {
        const tensors = await stepper.readState();
        await checkSameState(ranks, tensors, next.step);
        if (!writes) return;
        for (const name of names) saveCheckpoint(checkpointPath(run, name), tensors, next);
        record(summaryOf(next.step, next.best, 'interrupted'));
      },
      interrupted: () => onAny(ranks, training.interrupted?.() ?? false),
      stepped: (seconds) => {
        trainingSeconds += seconds;
      },
    },
    state,
  );
  const summary = summaryOf(end.step, end.best, ending);
  if (end.step > state.step) record(summary);
  return summary;
}

/** A summary's speed, for people. */
export function formatSpeed({
  stepsPerSecond,
  samplesPerSecond,
  engine,
  provider,
  ranks,
  dataWait,
  peakMemoryBytes: peak,
  copiedBytesPerStep: copied,
}: TrainingSummary): string {
  const speed =
    stepsPerSecond >= 1
      ? `${stepsPerSecond.toFixed(2)} steps/s`
      : `${(1 / stepsPerSecond).toFixed(2)} s/step`;
  return (
    `${speed}, ${samplesPerSecond.toPrecision(3)} samples/s while training, on ${engine} (${provider}${ranks > 1 ? `, ${ranks} ranks` : ''}); ` +
    `waited ${(100 * dataWait).toFixed(1)} % of the time for data; peak memory ${(peak / 1e9).toFixed(2)} GB` +
    (copied === undefined ? '' : `; ${(copied / 1e6).toFixed(1)} MB per step to the GPU and back`)
  );
}
