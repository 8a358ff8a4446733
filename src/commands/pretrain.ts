import { existsSync } from 'node:fs';
import type { FinetuneConfig } from '../config/finetuning.js';
import { withChanges } from '../config/layers.js';
import {
  type Config,
  type ConfigSources,
  changeConfig,
  type PresetName,
  resolveConfig,
} from '../config/pretraining.js';
import { validationBatches } from '../data/loading/batches.js';
import { openLoader } from '../data/loading/loader.js';
import type { Batch } from '../data/proxies/index.js';
import { averagingFactors } from '../data/store/block-mean.js';
import { readManifest } from '../data/store/manifest.js';
import { openTileStore, type TileStore, tilesOf } from '../data/store/tiles.js';
import { alone, fromFirst, isFirst, type Ranks } from '../distributed/ranks.js';
import { UserError } from '../errors.js';
import { fitMemory } from '../execution/memory.js';
import { buildGraph } from '../execution/models.js';
import { openEngine } from '../execution/open-engine.js';
import { withChosenForms } from '../execution/tuner.js';
import { checkThreads, memoryLimitBytes } from '../machine.js';
import { type Reporting, silent } from '../progress.js';
import { type Checkpoint, hasLast, loadLast, refuseFewerSteps } from '../runs/checkpoint.js';
import { configPath, readRun, refuseChanges, refuseRun, writeRun } from '../runs/run.js';
import type { State } from '../runs/state.js';
import type { Engine } from '../runtime/engine.js';
import { checkSameTraining } from '../train/agreement.js';
import { createEvaluator } from '../train/evaluator.js';
import { batchFeeds, proxyWorkload, samplingOptions } from '../train/proxy.js';
import { ownMicroBatches, sharedMicroBatch, withinMicroBatches, withOwnThreads } from '../train/shares.js';
import { loadedState } from '../train/start-state.js';
import { type TrainingSummary, trainRun, withRunLock } from '../train/train-run.js';
import { nextCommands, type PretrainSummary } from './pretrain-summary.js';

export interface PretrainOptions extends Omit<ConfigSources, 'normalise'>, Reporting {
  /** Folder of a tile store, as `prepare` writes it; a resumed run knows its own. */
  readonly data?: string;
  /** Folder of the run. */
  readonly out: string;
  /** Go on with the run that is in `out`, if there is one. */
  readonly resume?: boolean;
  /**
   * All processes that train this run, as `openMpi` joins them; this one alone without it. They share the micro-batches of each
   * step, and the first of them writes.
   */
  readonly ranks?: Ranks;
  /**
   * Ranks share each micro-batch, or the whole batch, instead, and normalise it together: the run is that of one process with the
   * same configuration. It takes longer: ranks then exchange sums at each normalisation.
   */
  readonly syncNorm?: boolean;
  /** Asked between steps; true on any rank finishes the step, saves and ends. */
  readonly interrupted?: () => boolean;
}

const SAME_NETWORK =
  'give the settings of the network that was trained, such as --set network.width and network.levels';

/** How `--init` loads weights. */
const WHOLE_NETWORK = {
  checkpoint: 'best',
  sha256: '',
  parts: ['encoder', 'decoder', 'head'],
  partial: false,
  random: 'glorotUniform',
  names: {},
} satisfies Partial<FinetuneConfig['init']>;

/**
 * The saved configuration, when the run goes on; more steps may be asked for, anything else may not change. What was chosen when
 * it began stays chosen, whatever would be measured today: forms of operators, and micro-batches.
 */
function resumedConfig(options: PretrainOptions): Config {
  const { config: saved } = readRun(options.out);
  const { preset } = withChanges({ preset: options.preset ?? saved.preset }, options);
  const asked = changeConfig({ ...saved, preset: preset as PresetName }, options);
  const measured = asked.forms === 'tuned' && typeof saved.forms === 'object';
  const wanted = {
    ...asked,
    forms: measured || asked.forms === 'auto' ? saved.forms : asked.forms,
    microBatch: asked.microBatch ?? saved.microBatch,
  };
  refuseChanges(options.out, saved, wanted);
  return wanted;
}

/** The configuration of a new run: it takes what the tiles hold. */
function newConfig({ data, ranks = alone, syncNorm = false, ...changes }: PretrainOptions): Config {
  const normalise = data === undefined ? 'hu' : readManifest(data).options.normalise;
  const whole = resolveConfig({ normalise, ...changes });
  const microBatch = syncNorm ? whole.microBatch : sharedMicroBatch(whole, ranks);
  const config = changeConfig(whole, { config: { microBatch } });
  checkThreads('threads', config.threads, 0);
  if (data === undefined || config.normalise === normalise) return config;
  throw new UserError('config', {
    what: 'the tiles are normalised differently from this configuration',
    where: data,
    got: `tiles with normalise ${normalise}, configuration with ${config.normalise}`,
    fix: 'remove normalise and window from the configuration: both are taken from the tiles',
  });
}

/** @throws UserError for a loss of all samples at once, of which no rank has all */
function refuseJointLoss({ contrastive }: Config): void {
  if (contrastive.weight === 0) return;
  throw new UserError('config', {
    what: 'the contrastive term compares all samples that are normalised together, which ranks would share',
    where: 'contrastive.weight',
    got: String(contrastive.weight),
    fix: 'remove --sync-norm, or the contrastive term',
  });
}

/** @throws UserError for what needs normalisations to be one operator, which ranks that synchronise them take apart */
function refuseMixed({ precision, memory, recompute }: Config): void {
  const where = precision === 'amp' ? 'precision' : 'memory';
  if (precision !== 'amp' && memory === null && Object.keys(recompute).length === 0) return;
  throw new UserError('config', {
    what: `synchronised normalisation cannot be combined with ${where === 'memory' ? 'recomputation' : 'mixed precision'}`,
    where,
    fix: `remove --sync-norm, or --${where}`,
  });
}

function prepareRunFolder(options: PretrainOptions): { config: Config; resuming: boolean } {
  const exists = existsSync(configPath(options.out));
  if (!options.resume) refuseRun(options.out);
  return exists && options.resume
    ? { config: resumedConfig(options), resuming: true }
    : { config: newConfig(options), resuming: false };
}

/**
 * Pre-trains an encoder on a tile store, or goes on with an interrupted run; the result is the same to the bit.
 * Writes config.json, metrics.jsonl, checkpoints/ and TensorBoard events into the run's folder.
 * @throws UserError for bad options, a device that is not to be had, data that changed, a run in use, a full disk, or a
 *   training that failed
 * @example
 * await pretrain({ data: 'tiles', out: 'runs/first', preset: 'tiny', config: { steps: 1000 } });
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainSummary> {
  const { ranks = alone } = options;
  const { config: configured, resuming } = prepareRunFolder(options);
  const syncNorm = options.syncNorm === true && ranks.size > 1;
  if (syncNorm) {
    refuseJointLoss(configured);
    refuseMixed(configured);
  }
  const asked = withOwnThreads(configured, ranks);
  const shared = syncNorm ? withinMicroBatches(asked, ranks) : asked;
  ownMicroBatches(shared, ranks);
  const data = options.data ?? (resuming ? readRun(options.out).data : undefined);
  if (data === undefined && options.resume)
    throw new UserError('run', {
      what: 'there is no run here to resume',
      where: options.out,
      fix: 'check the folder; a new run needs tiles: --data',
    });
  if (data === undefined)
    throw new UserError('usage', {
      what: 'a new run needs tiles',
      where: '--data',
      fix: 'give a folder written by `p2w prepare`',
    });
  const store = openTileStore(data);
  if (store.train.length === 0)
    throw new UserError('data', { what: 'the store has no training tiles', where: data });
  if (store.validation.length === 0)
    throw new UserError('data', {
      what: 'the store has no validation tiles',
      where: data,
      fix: 'prepare at least two scans, with --val-fraction above 0',
    });
  if (!averagingFactors(store.size, asked.whole))
    throw new UserError('config', {
      what: 'tiles cannot be averaged down to the wholes of this configuration',
      where: data,
      got: `tiles of ${store.size.join('×')} for wholes of ${asked.whole.join('×')}`,
      expected: 'an integer multiple along every axis',
      fix: `choose another --preset, or prepare tiles with --size ${asked.whole.join('x')}`,
    });
  const workload = proxyWorkload(asked, store.size);
  const { parameters } = buildGraph('evaluation', workload, asked);
  const engine = await openEngine(asked.device, asked.engine, { tf32: asked.precision === 'tf32' });
  const limit = memoryLimitBytes() / ranks.onHost;
  const together = syncNorm ? ranks.size : 1;
  const fitted = await fitMemory(workload, shared, engine, options.reporter ?? silent, limit, together);
  const { recompute } = fitted;
  const fitting = { ...asked, recompute };
  const begins = !(resuming && hasLast(options.out));
  const start =
    begins && asked.init !== null
      ? (await loadedState(asked, parameters, { ...WHOLE_NETWORK, from: asked.init }, SAME_NETWORK)).state
      : undefined;
  const work = async () => {
    // Another process may have been here since.
    if (!resuming) refuseRun(options.out);
    const checkpoint = resuming ? loadLast(options.out, store.hash, parameters) : null;
    refuseFewerSteps(options.out, configured.steps, checkpoint);
    await checkSameTraining(ranks, {
      ...{ engine, dataHash: store.hash, checkpoint },
      settings: { syncNorm, ...configured },
    });
    const { forms } = await fromFirst(ranks, () =>
      withChosenForms(workload, fitting, engine, options.reporter),
    );
    const config = { ...fitting, forms };
    // What has it is a run: nothing that can be wrong with what was asked for comes after.
    if (isFirst(ranks))
      writeRun(options.out, {
        ...{ data, tile: store.size },
        config: { ...config, threads: configured.threads },
      });
    const summary = await run({ ...options, syncNorm }, config, engine, store, checkpoint, start);
    return { ...summary, next: nextCommands(summary, config, store) };
  };
  return withRunLock(options.out, 'pretrain', work, ranks);
}

async function run(
  { out, interrupted, ranks = alone, syncNorm = false, reporter = silent }: PretrainOptions,
  config: Config,
  engine: Engine,
  store: TileStore,
  checkpoint: Checkpoint | null,
  start: State | undefined,
): Promise<TrainingSummary> {
  const sampling = samplingOptions(config);
  const shared = syncNorm ? withinMicroBatches(config, ranks) : config;
  const evaluator = await createEvaluator(config, store.size, engine);
  try {
    return await trainRun<Batch>({
      reporter,
      label: 'pretrain',
      run: out,
      config: shared,
      workload: proxyWorkload(config, store.size),
      engine,
      ranks,
      syncNorm,
      checkpoint,
      ...(start ? { start } : {}),
      dataHash: store.hash,
      samples: store.train.length,
      // Two parts of a whole are two samples.
      epochLength: (sampling.paired ? 2 : 1) * store.train.length,
      openLoader: (reading) =>
        openLoader({
          ...samplingOptions(shared),
          ...reading,
          store: store.folder,
          split: 'train',
          workers: config.workers,
        }),
      feeds: batchFeeds,
      validate: async (state) => {
        const tiles = tilesOf(store, 'validation');
        const batches = validationBatches(tiles, {
          ...sampling,
          ...{ limit: config.validation.samples, share: ranks },
        });
        const { mse, outputDeviation } = await evaluator.validate(batches, state, ranks);
        return { loss: mse, scores: {}, ...(outputDeviation !== undefined && { outputDeviation }) };
      },
      lossName: 'MSE',
      interrupted,
    });
  } finally {
    await evaluator.release();
  }
}
