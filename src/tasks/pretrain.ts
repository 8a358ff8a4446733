import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Parameter } from '../../graphs/nn/module.js';
import { type Config, type ConfigChanges, changeConfig, type PresetName, resolveConfig } from '../config.js';
import { openLoader, validationBatches } from '../data/loader.js';
import { openTileStore, type TileStore } from '../data/tiles.js';
import { fromSystemError, UserError } from '../errors.js';
import { removeTemporaries } from '../files.js';
import { acquireLock } from '../lock.js';
import { peakMemoryBytes } from '../machine.js';
import { startProgress } from '../progress.js';
import { engineFor } from '../runtime/index.js';
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
import { keptSteps, validationInterval } from '../train/plan.js';
import { configPath, readRun, writeRun } from '../train/run.js';
import { plateauStart } from '../train/schedule.js';
import { appendSession } from '../train/sessions.js';
import { createStepper } from '../train/stepper.js';
import { openEvents } from '../train/tensorboard.js';

export interface PretrainOptions extends ConfigChanges {
  /** Where a new run starts from; `tiny` without it. A resumed run has its own. */
  readonly preset?: PresetName;
  /** Folder of a tile store, as `prepare` writes it. */
  readonly data: string;
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
  readonly step: number;
  readonly best: { readonly step: number; readonly validationMse: number } | null;
  readonly engine: string;
  readonly provider: string;
  readonly threads: number;
  readonly seconds: number;
  readonly stepsPerSecond: number;
  readonly wholesPerSecond: number;
  /** Share of the time that training waited for data, 0 to 1. */
  readonly dataWait: number;
  readonly peakMemoryBytes: number;
}

/** The saved configuration, when the run goes on; more steps may be asked for, anything else may not change. */
function resumedConfig(options: PretrainOptions): Config {
  const { config: saved } = readRun(options.out);
  const wanted = changeConfig(saved, options);
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
 * @throws UserError for bad options, data that changed, a run in use, a full disk, or a training that failed
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainSummary> {
  const store = openTileStore(options.data);
  const { config, resuming } = prepareRunFolder(options);
  if (store.train.length === 0)
    throw new UserError('data', { what: 'the store has no training tiles', where: options.data });
  if (store.validation.length === 0)
    throw new UserError('data', {
      what: 'the store has no validation tiles',
      where: options.data,
      fix: 'prepare at least two scans with --val-fraction above 0',
    });
  const { parameters } = buildGraph('evaluation', config, store.size);
  try {
    mkdirSync(join(options.out, 'checkpoints'), { recursive: true });
  } catch (error) {
    throw fromSystemError(error, options.out);
  }
  const lock = acquireLock(options.out, 'pretrain');
  try {
    removeTemporaries(options.out);
    removeTemporaries(join(options.out, 'checkpoints'));
    writeRun(options.out, { data: options.data, tile: store.size, config });
    const checkpoint = resuming ? lastCheckpoint(options.out, store.hash, parameters) : null;
    return await run(options, config, store, checkpoint, networkHash(parameters));
  } finally {
    lock.release();
  }
}

async function run(
  options: PretrainOptions,
  config: Config,
  store: TileStore,
  checkpoint: Checkpoint | null,
  network: string,
): Promise<PretrainSummary> {
  const engine = engineFor(config.device);
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
    store: options.data,
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
  try {
    const trained = performance.now();
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
        },
        interrupted: options.interrupted ?? (() => false),
      },
      state,
    );
    const now = performance.now();
    const steps = end.step - state.step;
    const stepsPerSecond = steps / ((now - trained) / 1000);
    const waited = loader.waited();
    const summary: PretrainSummary = {
      run: options.out,
      ending,
      step: end.step,
      best: end.best,
      engine: engine.name,
      provider: engine.provider,
      threads: config.threads,
      seconds: (now - started) / 1000,
      stepsPerSecond,
      wholesPerSecond: stepsPerSecond * config.batch,
      dataWait: waited.totalSeconds > 0 ? waited.waitSeconds / waited.totalSeconds : 0,
      peakMemoryBytes: peakMemoryBytes(),
    };
    appendSession(options.out, { from: state.step, ...summary });
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
  const { ending, step, best, run } = summary;
  const end = {
    finished: `finished at step ${step}`,
    'early-stop': `stopped early at step ${step}: no improvement any more`,
    interrupted: `interrupted at step ${step} and saved; go on with: p2w pretrain --data … --out ${run} --resume`,
  }[ending];
  return [
    end,
    best ? `best validation MSE ${best.validationMse.toFixed(5)} at step ${best.step}` : 'not validated yet',
    `${summary.stepsPerSecond.toFixed(2)} steps/s, ${summary.wholesPerSecond.toFixed(1)} wholes/s on ${summary.engine} (${summary.provider}); ` +
      `waited ${(100 * summary.dataWait).toFixed(1)} % of the time for data; peak memory ${(summary.peakMemoryBytes / 1e9).toFixed(2)} GB`,
    `next: p2w report --run ${run}, p2w export --run ${run} --out encoder`,
  ].join('\n');
}
