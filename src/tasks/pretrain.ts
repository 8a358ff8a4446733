import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Parameter } from '../../graphs/nn/module.js';
import { type Config, type ConfigChanges, changeConfig, type PresetName, resolveConfig } from '../config.js';
import { averagingFactors } from '../data/average.js';
import { openLoader, validationBatches } from '../data/loader.js';
import { openTileStore, type TileStore } from '../data/tiles.js';
import { fromSystemError, UserError } from '../errors.js';
import { removeTemporaries } from '../files.js';
import { acquireLock } from '../lock.js';
import { peakMemoryBytes } from '../machine.js';
import { startProgress } from '../progress.js';
import type { Engine } from '../runtime/engine.js';
import {
  type Checkpoint,
  checkpointPath,
  loadCheckpoint,
  networkHash,
  saveCheckpoint,
  type TrainState,
} from '../train/checkpoint.js';
import { createEvaluator } from '../train/evaluator.js';
import { type Ending, trainLoop } from '../train/loop.js';
import { openMetrics } from '../train/metrics.js';
import { buildGraph, microBatches } from '../train/models.js';
import { openEngine } from '../train/open-engine.js';
import { keptSteps, validationInterval } from '../train/plan.js';
import { configPath, readRun, writeRun } from '../train/run.js';
import { plateauStart } from '../train/schedule.js';
import { openSession } from '../train/sessions.js';
import { createStepper } from '../train/stepper.js';
import { openEvents } from '../train/tensorboard.js';
import { withChosenForms } from '../train/tuner.js';

export interface PretrainOptions extends ConfigChanges {
  /** Where a new run starts from; `tiny` without it. A resumed run has its own. */
  readonly preset?: PresetName;
  /** Folder of a tile store, as `prepare` writes it; a resumed run knows its own. */
  readonly data?: string;
  /** Folder of the run. */
  readonly out: string;
  /** Go on with the run that is in `out`, if there is one. */
  readonly resume?: boolean;
  /** Asked between steps; true finishes the step, saves and ends. */
  readonly interrupted?: () => boolean;
}

export interface PretrainSummary {
  readonly run: string;
  readonly ending: Ending;
  /** First and last step of this session. */
  readonly from: number;
  readonly step: number;
  readonly best: { readonly step: number; readonly validationMse: number } | null;
  readonly engine: string;
  readonly provider: string;
  readonly threads: number;
  readonly seconds: number;
  /** While it trained: validation and saving do not count. 0 when there was no step to make. */
  readonly stepsPerSecond: number;
  readonly wholesPerSecond: number;
  /** Share of the time that training waited for data, 0 to 1. */
  readonly dataWait: number;
  readonly peakMemoryBytes: number;
}

/**
 * The saved configuration, when the run goes on; more steps may be asked for, anything else may not change. A run that
 * was tuned keeps its forms, whatever would be measured today.
 */
function resumedConfig(options: PretrainOptions): Config {
  const { config: saved } = readRun(options.out);
  const asked = changeConfig(saved, options);
  const tuned = typeof saved.forms === 'object' && (asked.forms === 'tuned' || asked.forms === 'auto');
  const wanted = tuned ? { ...asked, forms: saved.forms } : asked;
  const changed = (Object.keys(saved) as (keyof Config)[]).filter(
    (key) =>
      key !== 'steps' && key !== 'workers' && JSON.stringify(saved[key]) !== JSON.stringify(wanted[key]),
  );
  if (changed.length > 0)
    throw new UserError('config', {
      what: `a run goes on as it was started, but these differ: ${changed.join(', ')}`,
      where: configPath(options.out),
      fix: 'leave these flags out, or start a new run in another folder',
    });
  return wanted;
}

function prepareRunFolder(options: PretrainOptions): { config: Config; resuming: boolean } {
  const exists = existsSync(configPath(options.out));
  if (exists && !options.resume)
    throw new UserError('run', {
      what: 'there is a run in this folder already',
      where: options.out,
      fix: 'add --resume to go on with it, or choose another folder',
    });
  return exists
    ? { config: resumedConfig(options), resuming: true }
    : { config: resolveConfig({ preset: 'tiny', ...options }), resuming: false };
}

/** The last checkpoint's state, checked against network and data; null when there is none yet. */
function lastCheckpoint(run: string, dataHash: string, parameters: readonly Parameter[]): Checkpoint | null {
  const path = checkpointPath(run, 'last');
  if (!existsSync(path)) return null;
  const checkpoint = loadCheckpoint(path, parameters);
  if (checkpoint.state.dataHash !== dataHash)
    throw new UserError('data', {
      what: 'the tiles are not those that this run was trained on',
      where: run,
      fix: 'give the same --data, or start a new run',
    });
  return checkpoint;
}

/**
 * Pre-trains Parts2Whole on a tile store, or goes on with an interrupted run; the result is the same to the bit.
 * Writes config.json, metrics.jsonl, checkpoints/ and TensorBoard events into the run's folder.
 * @throws UserError for bad options, a device that is not to be had, data that changed, a run in use, a full disk, or a
 *   training that failed
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainSummary> {
  const { config: asked, resuming } = prepareRunFolder(options);
  const data = options.data ?? (resuming ? readRun(options.out).data : undefined);
  if (data === undefined)
    throw new UserError('usage', {
      what: 'a new run needs tiles',
      where: '--data',
      fix: 'give the folder that `p2w prepare` made',
    });
  const store = openTileStore(data);
  if (store.train.length === 0)
    throw new UserError('data', { what: 'the store has no training tiles', where: data });
  if (store.validation.length === 0)
    throw new UserError('data', {
      what: 'the store has no validation tiles',
      where: data,
      fix: 'prepare at least two scans with --val-fraction above 0',
    });
  if (!averagingFactors(store.size, asked.whole))
    throw new UserError('config', {
      what: 'tiles cannot be averaged down to the wholes of this configuration',
      where: data,
      got: `tiles of ${store.size.join('×')} for wholes of ${asked.whole.join('×')}`,
      expected: 'a whole multiple along every axis',
      fix: `choose another --preset, or prepare tiles with --size ${asked.whole.join('x')}`,
    });
  const { parameters } = buildGraph('evaluation', asked, store.size);
  const engine = await openEngine(asked.device);
  try {
    mkdirSync(join(options.out, 'checkpoints'), { recursive: true });
  } catch (error) {
    throw fromSystemError(error, options.out);
  }
  const lock = acquireLock(options.out, 'pretrain');
  try {
    removeTemporaries(options.out);
    removeTemporaries(join(options.out, 'checkpoints'));
    const config = await withChosenForms(asked, store.size, engine);
    writeRun(options.out, { data, tile: store.size, config });
    const checkpoint = resuming ? lastCheckpoint(options.out, store.hash, parameters) : null;
    return await run(options, config, engine, store, checkpoint, networkHash(parameters));
  } finally {
    lock.release();
  }
}

async function run(
  options: PretrainOptions,
  config: Config,
  engine: Engine,
  store: TileStore,
  checkpoint: Checkpoint | null,
  network: string,
): Promise<PretrainSummary> {
  const started = performance.now();
  const tile = store.size;
  const stepper = await createStepper(config, tile, engine, checkpoint?.tensors);
  const evaluator = await createEvaluator(config, tile, engine);

  const state: TrainState = checkpoint?.state ?? {
    step: 0,
    epoch: 0,
    schedule: plateauStart(config.learningRate),
    best: null,
    flatValidations: 0,
    stopped: false,
    metricsBytes: 0,
    seed: config.seed,
    networkHash: network,
    dataHash: store.hash,
  };
  const { size, count } = microBatches(config);
  const shape = { batch: size, wholeSize: config.whole, part: config.part, seed: config.seed };
  const loader = openLoader({
    ...shape,
    store: store.folder,
    split: 'train',
    workers: config.workers,
    ahead: 2 * Math.max(1, config.workers) + count,
    firstBatch: state.step * count,
  });
  const metrics = openMetrics(join(options.out, 'metrics.jsonl'), state.metricsBytes);
  const events = openEvents(join(options.out, 'events'), state.step + 1);
  const progress = startProgress({
    label: 'pretrain',
    total: config.steps,
    unit: 'steps',
    start: state.step,
  });
  const record = openSession(options.out);
  let trainingSeconds = 0;
  const summaryOf = (step: number, best: TrainState['best'], ending: Ending): PretrainSummary => {
    const waited = loader.waited();
    const stepsPerSecond = trainingSeconds > 0 ? (step - state.step) / trainingSeconds : 0;
    return {
      run: options.out,
      ending,
      from: state.step,
      step,
      best,
      engine: engine.name,
      provider: engine.provider,
      threads: config.threads,
      seconds: (performance.now() - started) / 1000,
      stepsPerSecond,
      wholesPerSecond: stepsPerSecond * config.batch,
      dataWait: waited.totalSeconds > 0 ? waited.waitSeconds / waited.totalSeconds : 0,
      peakMemoryBytes: peakMemoryBytes(),
    };
  };
  if (checkpoint) progress.log(`going on from step ${state.step}`);
  progress.log(`device ${config.device}: ${engine.name}, ${engine.provider}`);
  try {
    const { state: end, ending } = await trainLoop(
      {
        config,
        stepper,
        evaluator,
        loader,
        validationBatches: () => validationBatches(store, { ...shape, limit: config.validation.wholes }),
        metrics,
        events,
        progress,
        wholes: store.train.length,
        validateEvery: validationInterval(config, store.train.length),
        kept: keptSteps(config),
        save: (names, next) => {
          for (const name of names) saveCheckpoint(checkpointPath(options.out, name), stepper.state, next);
          record(summaryOf(next.step, next.best, 'interrupted'));
        },
        interrupted: options.interrupted ?? (() => false),
        stepped: (seconds) => {
          trainingSeconds += seconds;
        },
      },
      state,
    );
    const summary = summaryOf(end.step, end.best, ending);
    if (end.step > state.step) record(summary);
    return summary;
  } finally {
    progress.stop();
    metrics.close();
    events.close();
    await loader.close();
    await stepper.release();
    await evaluator.release();
  }
}

/** The summary for people. */
export function formatPretrain(summary: PretrainSummary): string {
  const { ending, from, step, best, run, stepsPerSecond } = summary;
  if (from === step && ending !== 'interrupted')
    return `nothing to do: ${run} is at its last step, ${step}; more can be asked for with --steps`;
  const end = {
    finished: `finished at step ${step}`,
    'early-stop': `stopped early at step ${step}: no improvement any more`,
    interrupted: `interrupted at step ${step} and saved; go on with: p2w pretrain --out ${run} --resume`,
  }[ending];
  const quality = !best
    ? 'not validated yet'
    : best.step === 0
      ? `no validation was better than that of the untrained network, MSE ${best.validationMse.toFixed(5)}`
      : `best validation MSE ${best.validationMse.toFixed(5)} at step ${best.step}`;
  const speed =
    stepsPerSecond >= 1
      ? `${stepsPerSecond.toFixed(2)} steps/s`
      : `${(1 / stepsPerSecond).toFixed(2)} s/step`;
  return [
    end,
    quality,
    `${speed}, ${summary.wholesPerSecond.toPrecision(3)} wholes/s while training, on ${summary.engine} (${summary.provider}); ` +
      `waited ${(100 * summary.dataWait).toFixed(1)} % of the time for data; peak memory ${(summary.peakMemoryBytes / 1e9).toFixed(2)} GB`,
    ...(ending === 'interrupted'
      ? []
      : [`next: p2w report --run ${run}, p2w export --run ${run} --out encoder`]),
  ].join('\n');
}
