import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageAdapter } from '../../graphs/objectives/image-adapter.js';
import { mean, standardDeviation } from '../analysis/statistics.js';
import {
  checkSampleSize,
  type FinetuneConfig,
  type FinetuneSources,
  resolveFinetuneConfig,
} from '../config/finetuning.js';
import type { ConfigChanges } from '../config/layers.js';
import { checkPlan, microBatches } from '../config/training.js';
import { epochLength, type SampleBatch, type SamplePlan, trainingSamples } from '../data/samples/batches.js';
import { checkSplit, maskNotes } from '../data/samples/check.js';
import { openSampleLoader } from '../data/samples/loader.js';
import {
  SAMPLE_SPLITS,
  type SampleEntry,
  type SampleManifest,
  type SampleSplit,
} from '../data/samples/manifest.js';
import { commonSpacing, openSampleStore, type SampleStore } from '../data/samples/store.js';
import { checkAgreement } from '../distributed/agreement.js';
import { alone, fromFirst, isFirst, type Ranks } from '../distributed/ranks.js';
import { checkInteger, UserError } from '../errors.js';
import { fitMemory } from '../execution/memory.js';
import { buildGraph } from '../execution/models.js';
import { openEngine } from '../execution/open-engine.js';
import { withChosenForms } from '../execution/tuner.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { type ExternalFeatures, externalFeatures, standardised } from '../inference/external-encoder.js';
import { imageAdapter, spacingNote } from '../inference/image-adapter.js';
import { checkThreads, memoryLimitBytes } from '../machine.js';
import { isOnnxFile, readModelFile } from '../onnx-file.js';
import { type Reporting, silent } from '../progress.js';
import { hasCheckpoints, loadLast, resolveCheckpoint } from '../runs/checkpoint.js';
import { configPath, readFinetuneRun, refuseChanges, writeRun } from '../runs/run.js';
import type { Engine } from '../runtime/engine.js';
import {
  checkTrained,
  dropoutFeeds,
  formatTrained,
  importedModels,
  importedWorkload,
  openTrainedFile,
  type TrainedFile,
} from '../train/imported.js';
import { ownMicroBatches, sharedMicroBatch, withOwnThreads } from '../train/shares.js';
import { networkOf, startState } from '../train/start-state.js';
import {
  classWeightsFor,
  createPredictor,
  headWorkload,
  type Predictor,
  type SampleFeeds,
  sampleFeeds,
  targetWorkload,
} from '../train/target.js';
import { type TrainingSummary, trainRun, withRunLock } from '../train/train-run.js';
import { version } from '../version.js';
import { formatLoad } from '../weights/load-weights.js';
import {
  type FinetuneSummary,
  overTrials,
  readTrial,
  type TrialSummary,
  writeTrial,
} from './finetune-summary.js';
import { definedScores, rowsToCsv, type Scored, scorePredictions } from './score-samples.js';

export interface FinetuneOptions extends ConfigChanges<FinetuneConfig>, Reporting {
  /** Folder of a sample store, as `prepare --task` writes it. */
  readonly data: string;
  /** Folder of the runs, one a trial: `trial-01`, `trial-02`, … */
  readonly out: string;
  /** The task that the store must be of; any without it. */
  readonly task?: string;
  /**
   * Where weights come from, instead of the configuration's `init.from`: `random` (the default), a pre-training run, a file of weights, the
   * name of an encoder that comes with the package, or an ONNX model, which is trained itself, or, with `frozenEncoder`, gives the features
   * that a classifier is trained on.
   */
  readonly init?: string;
  /** How often to train, each time with the next seed; default 1. */
  readonly trials?: number;
  /** Of the first trial; the configuration's without it. */
  readonly seed?: number;
  /** Go on with the trials that are in `out`. */
  readonly resume?: boolean;
  /** All processes that train each trial together, as for `pretrain`; this one alone without it. */
  readonly ranks?: Ranks;
  /** Asked between steps; true on any rank finishes the step, saves and ends. */
  readonly interrupted?: () => boolean;
}

/** What all trials share. */
interface Study {
  readonly store: SampleStore;
  readonly engine: Engine;
  readonly options: FinetuneOptions;
  readonly ranks: Ranks;
  /** Of an ONNX encoder that stays frozen; null where images are trained on. */
  readonly external: ExternalFeatures | null;
  /** An ONNX model that is trained itself; null for a network of our own. */
  readonly model: TrainedModel | null;
  readonly splits: Readonly<Record<SampleSplit, readonly SampleEntry[]>>;
}

/** An ONNX model that is trained, and how it takes images. */
interface TrainedModel {
  readonly file: TrainedFile;
  readonly adapter: ImageAdapter;
  readonly notes: readonly string[];
}

function openStudyData(options: FinetuneOptions): Pick<Study, 'store' | 'splits'> {
  const store = openSampleStore(options.data);
  const { task, samples } = store.manifest;
  if (options.task !== undefined && options.task !== task)
    throw new UserError('usage', {
      what: 'the samples belong to a different task',
      where: `--task ${options.task}`,
      got: `${task} in ${options.data}`,
      fix: 'remove --task, or use other samples',
    });
  const of = (split: SampleSplit) => samples.filter((sample) => sample.split === split);
  const splits = { train: of('train'), validation: of('validation'), test: of('test') };
  for (const split of SAMPLE_SPLITS) checkSplit(splits[split], split, store);
  return { store, splits };
}

/** What the configurations of all trials are made of. */
function sourcesOf({ store }: Pick<Study, 'store'>, options: FinetuneOptions): FinetuneSources {
  const { init, seed, file, config: asked } = options;
  return {
    kind: store.manifest.kind,
    file,
    config: {
      ...asked,
      seed: seed ?? asked?.seed,
      init: { ...asked?.init, from: init ?? asked?.init?.from },
    },
  };
}

/** The ONNX model that is to be trained, if it is one. @throws UserError when there is none, and settings are for one */
function openTrained({ store }: Pick<Study, 'store'>, sources: FinetuneSources): TrainedModel | null {
  const { init, frozenEncoder, model } = resolveFinetuneConfig(sources);
  const { from } = init;
  if (isOnnxFile(from) && !frozenEncoder) {
    const { model: original } = readModelFile(from);
    const note = spacingNote(original, commonSpacing(store.manifest.samples));
    const adapter = imageAdapter(from, original, store.manifest);
    return { file: openTrainedFile(from), adapter, notes: note ? [note] : [] };
  }
  if (model)
    throw new UserError('config', {
      what: 'names of weights to freeze, a head and an output are for an ONNX model that is trained',
      where: 'model',
      got: frozenEncoder ? `${from}, frozen as a whole` : from,
      expected: '--init with an .onnx file, without --linear-probe and without a plain --freeze',
    });
  return null;
}

/** The configuration of one trial. */
function trialConfig(
  { store }: Pick<Study, 'store'>,
  sources: FinetuneSources,
  model: TrainedModel | null,
  trial: number,
): FinetuneConfig {
  const own = model
    ? { model: { sha256: model.file.sha256 } }
    : { network: networkOf(resolveFinetuneConfig(sources).init.from) };
  const first = resolveFinetuneConfig({ ...sources, ...own });
  const config = { ...first, seed: first.seed + trial };
  if (model) checkPlan(config);
  else if (isOnnxFile(config.init.from)) checkExternal(config);
  else checkSampleSize(config, store.manifest.size);
  return config;
}

/** What features that are computed once allow. @throws UserError of kind `config` */
function checkExternal({ kind, augmentation, init }: FinetuneConfig): void {
  const { flips, rotationDegrees, intensity } = augmentation;
  const refuse = (what: string, where: string) =>
    new UserError('config', {
      what,
      where,
      got: init.from,
      expected: 'classification without augmentation, or to train the model itself, without --freeze',
    });
  if (kind !== 'classification')
    throw refuse('a frozen ONNX encoder can only be used for classification', 'kind');
  if (flips || rotationDegrees > 0 || intensity > 0)
    throw refuse(
      'features of a frozen ONNX encoder are computed once, so images cannot be augmented',
      'augmentation',
    );
}

/** What graphs on the features of an external encoder are fed. */
const featureFeeds =
  (manifest: SampleManifest, { dimensions, rows }: ExternalFeatures): SampleFeeds =>
  (batch, samples) => {
    const { image: _, ...labels } = sampleFeeds(batch, manifest);
    const data = new Float32Array(batch.indices.length * dimensions);
    for (const [place, index] of batch.indices.entries())
      data.set(rows.get(samples[index]!.id)!, place * dimensions);
    return { ...labels, features: { type: 'float32', shape: [batch.indices.length, dimensions], data } };
  };

/** Trains one trial, or goes on with it. @returns null when it was interrupted */
async function runTrial(study: Study, run: string, wanted: FinetuneConfig): Promise<TrialSummary | null> {
  const { store, engine, options, ranks, splits, external, model } = study;
  const { reporter = silent } = options;
  const { manifest } = store;
  const resuming = options.resume === true && existsSync(configPath(run));
  const tested = resuming ? readTrial(run) : null;
  if (tested) return tested;
  const work = async () => {
    const saved = resuming ? readFinetuneRun(run).config : null;
    const microBatch = wanted.microBatch ?? (saved ? saved.microBatch : sharedMicroBatch(wanted, ranks));
    const configured = { ...wanted, microBatch };
    if (saved) refuseChanges(run, { ...saved, forms: wanted.forms }, configured);
    const asked = withOwnThreads(configured, ranks);
    ownMicroBatches(asked, ranks);
    const samples = trainingSamples(manifest, asked);
    checkSplit(samples, 'train', store);
    const weights = classWeightsFor(asked, manifest, samples);
    const models = model && importedModels(model.file, asked.model!, model.adapter);
    const workload = models
      ? importedWorkload(models, asked, manifest, model.adapter, weights)
      : external
        ? headWorkload(asked, manifest, external.dimensions, weights)
        : targetWorkload(asked, manifest, weights);
    const feedsOf: SampleFeeds = external
      ? featureFeeds(manifest, external)
      : (batch) => sampleFeeds(batch, manifest);
    const { parameters } = buildGraph('evaluation', workload, asked);
    const imported = models?.(microBatches(asked).size);
    if (imported) checkTrained(imported, parameters, asked.model!.freeze, asked.init.from);
    const dropout = models ? dropoutFeeds(workload, asked) : () => ({});
    const fitting = await fitMemory(workload, asked, engine, reporter, memoryLimitBytes() / ranks.onHost);
    const checkpoint = saved ? loadLast(run, store.hash, parameters) : null;
    const begin = checkpoint
      ? null
      : await startState(asked, parameters, external !== null || model !== null);
    await checkAgreement(ranks, {
      ...{ version, engine: `${engine.name}, ${engine.provider}`, 'hash of the data': store.hash },
      ...{ 'steps so far': checkpoint?.state.step ?? 0, ...configured },
    });
    const config = saved
      ? { ...fitting, forms: saved.forms }
      : await fromFirst(ranks, () => withChosenForms(workload, fitting, engine, reporter));
    const { task, kind, classes, size, channels, type, window } = manifest;
    const format = { task, kind, classes, size, channels, type, window };
    // What has it is a run: nothing that can be wrong with what was asked for comes after.
    if (isFirst(ranks))
      writeRun(run, {
        ...{ data: options.data, format, spacing: commonSpacing(manifest.samples) },
        config: { ...config, threads: configured.threads },
      });
    if (begin?.report && isFirst(ranks)) {
      writeFileAtomic(join(run, 'loaded.json'), `${JSON.stringify(begin.report, null, 2)}\n`);
      reporter.log(`${config.init.from}: ${formatLoad(begin.report).replaceAll('\n', '\n  ')}`);
    }
    if (begin && imported && isFirst(ranks)) {
      writeFileAtomic(join(run, 'loaded.json'), `${JSON.stringify(imported.report, null, 2)}\n`);
      reporter.log(`${config.init.from}: ${formatTrained(imported, parameters).replaceAll('\n', '\n  ')}`);
    }
    const predictor = await createPredictor(workload, config, store, engine, feedsOf);
    try {
      const validation = splits.validation.slice(0, config.validation.samples);
      const plan: SamplePlan = {
        samples,
        batch: microBatches(config).size,
        balance: config.balance,
        augmentation: config.augmentation,
        seed: config.seed,
      };
      const summary = await trainRun<SampleBatch>({
        reporter,
        label: run,
        run,
        config,
        workload,
        engine,
        ranks,
        checkpoint,
        ...(begin && { start: begin.state }),
        dataHash: store.hash,
        samples: epochLength(plan),
        openLoader: (reading) => openSampleLoader({ store, plan, workers: config.workers, ...reading }),
        feeds: (batch, number) => ({ ...feedsOf(batch, samples), ...dropout(number) }),
        validate: (current) =>
          fromFirst(ranks, async () => {
            const predictions = predictor.predict(validation, current);
            const { loss, scores } = await scorePredictions(store, predictions, false);
            const { bestBy } = config;
            return {
              loss,
              scores: definedScores(scores),
              ...(bestBy !== 'loss' && { criterion: 1 - (scores[bestBy] ?? 0) }),
            };
          }),
        lossName: 'loss',
        interrupted: options.interrupted,
      });
      return summary.ending === 'interrupted'
        ? null
        : await fromFirst(ranks, () => finishTrial(study, run, config, summary, predictor));
    } finally {
      await predictor.release();
    }
  };
  return withRunLock(run, 'finetune', work, ranks);
}

/** Scores the best checkpoint on the test samples, and writes what came out. */
async function finishTrial(
  { store, splits }: Study,
  run: string,
  { seed }: FinetuneConfig,
  { step, best }: TrainingSummary,
  predictor: Predictor,
): Promise<TrialSummary> {
  const { tensors } = resolveCheckpoint(run, 'best');
  const tested: Scored = await scorePredictions(store, predictor.predict(splits.test, tensors), true);
  writeFileAtomic(join(run, 'predictions.csv'), rowsToCsv(tested.rows));
  const trial: TrialSummary = {
    run,
    seed,
    step,
    bestStep: best!.step,
    validationLoss: best!.validationLoss,
    test: tested.scores,
  };
  writeTrial(trial);
  return trial;
}

/**
 * Trains a network for a target task, once or several times with different seeds, and tests each on the test samples.
 * Each trial is a run of its own: config.json, metrics.jsonl, checkpoints/, scores.json and predictions.csv.
 * @throws UserError for bad options, samples that do not suit, weights that do not fit, and as `pretrain` does
 * @example
 * await finetune({ data: 'candidates', out: 'runs/target', init: 'runs/first', config: { steps: 1000 } });
 */
export async function finetune(options: FinetuneOptions): Promise<FinetuneSummary> {
  const { out, trials = 1, resume = false, ranks = alone, reporter = silent } = options;
  checkInteger('--trials', trials, 1);
  const data = openStudyData(options);
  const sources = sourcesOf(data, options);
  const model = openTrained(data, sources);
  const runs = Array.from({ length: trials }, (_, i) => ({
    run: join(out, `trial-${String(i + 1).padStart(2, '0')}`),
    config: trialConfig(data, sources, model, i),
  }));
  const begun = runs.find(({ run }) => existsSync(configPath(run)) && hasCheckpoints(run));
  if (begun && !resume)
    throw new UserError('run', {
      what: 'this folder already contains a run',
      where: begun.run,
      fix: 'add --resume to continue it, or choose another folder',
    });
  const notes = [
    ...SAMPLE_SPLITS.flatMap((split) => maskNotes(data.splits[split], split, data.store.manifest)),
    ...(model?.notes ?? []),
  ];
  for (const note of notes) reporter.log(`note: ${note}`);
  const [first] = runs;
  if (!begun) checkThreads('threads', first!.config.threads, 0);
  const engine = await openEngine(first!.config.device, first!.config.engine, {
    tf32: first!.config.precision === 'tf32',
  });
  const { from } = first!.config.init;
  const external =
    isOnnxFile(from) && !model
      ? standardised(
          await fromFirst(ranks, () =>
            externalFeatures(from, data.store, engine, first!.config.threads, reporter),
          ),
          data.splits.train,
        )
      : null;
  const study: Study = { ...data, engine, options, ranks, external, model };
  const finished: TrialSummary[] = [];
  for (const [i, { run, config }] of runs.entries()) {
    // The first makes the folder; gone after that, it has been deleted or moved.
    if (i > 0 && isFirst(ranks)) makeFolder(run, out);
    const trial = await runTrial(study, run, config);
    if (!trial) break;
    finished.push(trial);
  }
  const { config } = first!;
  const summary: FinetuneSummary = {
    out,
    init: config.init.from,
    trainingSamples: trainingSamples(data.store.manifest, config).length,
    testSamples: data.splits.test.length,
    trials: finished,
    interrupted: finished.length < trials,
    notes,
    mean: overTrials(finished, mean),
    standardDeviation: finished.length > 1 ? overTrials(finished, standardDeviation) : {},
  };
  if (!summary.interrupted && isFirst(ranks))
    writeFileAtomic(join(out, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
  return summary;
}
