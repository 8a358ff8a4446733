/** One training of a target task. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageAdapter } from '../../graphs/objectives/image-adapter.js';
import type { FinetuneConfig } from '../config/finetuning.js';
import { microBatches } from '../config/training.js';
import {
  epochLength,
  type SampleBatch,
  type SamplePlan,
  trainingSamples,
  validationSamples,
} from '../data/samples/batches.js';
import { checkSplit } from '../data/samples/check.js';
import { openSampleLoader } from '../data/samples/loader.js';
import type { SampleEntry, SampleManifest, SampleSplit } from '../data/samples/manifest.js';
import { commonSpacing, type SampleStore } from '../data/samples/store.js';
import { fromFirst, isFirst, type Ranks } from '../distributed/ranks.js';
import { UserError } from '../errors.js';
import { fitMemory } from '../execution/memory.js';
import { buildGraph } from '../execution/models.js';
import { withChosenForms } from '../execution/tuner.js';
import { writeFileAtomic } from '../files.js';
import type { ExternalFeatures } from '../inference/external-encoder.js';
import { memoryLimitBytes } from '../machine.js';
import { type Reporting, silent } from '../progress.js';
import {
  checkpointPath,
  loadLast,
  readTrainState,
  refuseFewerSteps,
  resolveCheckpoint,
} from '../runs/checkpoint.js';
import { changesOf, configPath, readFinetuneRun, refuseChanges, refuseRun, writeRun } from '../runs/run.js';
import type { Engine } from '../runtime/engine.js';
import { checkSameTraining } from '../train/agreement.js';
import {
  checkTrained,
  dropoutFeeds,
  formatTrained,
  importedModels,
  importedWorkload,
  type TrainedFile,
} from '../train/imported.js';
import { ownMicroBatches, sharedMicroBatch, withOwnThreads } from '../train/shares.js';
import { startState } from '../train/start-state.js';
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
import { formatLoad } from '../weights/load-weights.js';
import { readTrial, type TrialSummary, writeTrial } from './finetune-summary.js';
import { definedScores, rowsToCsv, type Scored, scorePredictions } from './score-samples.js';

/** What a caller says of all trials. */
export interface TrialOptions extends Reporting {
  /** Folder of a sample store, as `prepare --task` writes it. */
  readonly data: string;
  /** Go on with the trials that are in `out`. */
  readonly resume?: boolean;
  /** Asked between steps; true on any rank finishes the step, saves and ends. */
  readonly interrupted?: () => boolean;
}

/** What all trials share. */
export interface Study {
  readonly store: SampleStore;
  readonly engine: Engine;
  readonly options: TrialOptions;
  readonly ranks: Ranks;
  /** Of an ONNX encoder that stays frozen; null where images are trained on. */
  readonly external: ExternalFeatures | null;
  /** An ONNX model that is trained itself; null for a network of our own. */
  readonly model: TrainedModel | null;
  readonly splits: Readonly<Record<SampleSplit, readonly SampleEntry[]>>;
}

/** An ONNX model that is trained, and how it takes images. */
export interface TrainedModel {
  readonly file: TrainedFile;
  readonly adapter: ImageAdapter;
  readonly notes: readonly string[];
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

/** The hash of the data that a run was trained on; null where its best checkpoint, which knows it, is gone. */
function trainedOn(run: string): string | null {
  const path = checkpointPath(run, 'best');
  return existsSync(path) ? readTrainState(path).dataHash : null;
}

/** What a run is to begin from; of weights that are gone, or that an earlier version has not noted, nothing else is known. */
const sameWhereUnknown = (saved: FinetuneConfig, { init }: FinetuneConfig): FinetuneConfig['init'] => ({
  ...init,
  sha256: init.sha256 === '' || saved.init.sha256 === '' ? saved.init.sha256 : init.sha256,
});

/** @throws UserError naming what differs from what a finished trial was trained with */
function checkFinished(run: string, wanted: FinetuneConfig, { folder, hash }: SampleStore): void {
  const { config: saved, data } = readFinetuneRun(run);
  const { forms } = saved;
  const microBatch = wanted.microBatch ?? saved.microBatch;
  const changes = changesOf(saved, { ...wanted, init: sameWhereUnknown(saved, wanted), forms, microBatch });
  const isOfData = (trainedOn(run) ?? hash) === hash;
  if (isOfData && changes.length === 0) return;
  throw new UserError('config', {
    what: 'this trial is finished, but with other settings or data than are asked for now',
    where: run,
    got: [...changes, ...(isOfData ? [] : [`data: ${data}, now ${folder} with other samples`])].join('; '),
    fix: 'choose another --out, or delete this folder: the trial will be trained again',
  });
}

/**
 * Trains one trial, or goes on with it; a finished one is left as it is.
 * @returns null when it was interrupted
 * @throws UserError where an earlier trial in the folder was trained with other settings or data
 */
export async function runTrial(
  study: Study,
  run: string,
  wanted: FinetuneConfig,
): Promise<TrialSummary | null> {
  const { store, engine, options, ranks, external, model } = study;
  const { reporter = silent } = options;
  const { manifest } = store;
  const resuming = options.resume === true && existsSync(configPath(run));
  const tested = resuming ? readTrial(run) : null;
  if (tested) {
    checkFinished(run, wanted, store);
    return tested;
  }
  const work = async () => {
    // Another process may have been here since.
    if (!resuming) refuseRun(run);
    const saved = resuming ? readFinetuneRun(run).config : null;
    const microBatch = wanted.microBatch ?? (saved ? saved.microBatch : sharedMicroBatch(wanted, ranks));
    const init = saved ? sameWhereUnknown(saved, wanted) : wanted.init;
    const configured = { ...wanted, init, microBatch };
    if (saved) refuseChanges(run, { ...saved, forms: wanted.forms }, configured);
    const asked = withOwnThreads(configured, ranks);
    ownMicroBatches(asked, ranks);
    const samples = trainingSamples(manifest, asked);
    checkSplit(samples, 'train', store);
    const validation = validationSamples(manifest, asked.validation);
    checkSplit(validation, 'validation', store);
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
    refuseFewerSteps(run, asked.steps, checkpoint);
    const begin = checkpoint
      ? null
      : await startState(asked, parameters, external !== null || model !== null);
    await checkSameTraining(ranks, {
      ...{ engine, dataHash: store.hash, checkpoint },
      settings: configured,
    });
    const { forms } =
      saved ?? (await fromFirst(ranks, () => withChosenForms(workload, fitting, engine, reporter)));
    const config = { ...fitting, forms };
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
        inLoop: models !== null,
        ...(begin && { start: begin.state }),
        dataHash: store.hash,
        samples: samples.length,
        epochLength: epochLength(plan),
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
