import { basename, join, resolve } from 'node:path';
import { rankScores, rocCurve } from '../analysis/ranking.js';
import { openSampleStore, readSample, type SampleStore } from '../data/samples/store.js';
import type { Voxels } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import type { Workload } from '../execution/models.js';
import { openEngine } from '../execution/open-engine.js';
import { writeFileAtomic } from '../files.js';
import { imageAdapter } from '../inference/image-adapter.js';
import { readModelFile } from '../onnx-file.js';
import { middleSlices } from '../report/slices.js';
import { renderTargetReport, type SegmentedSample } from '../report/target-report.js';
import { type Checkpoint, resolveCheckpoint } from '../runs/checkpoint.js';
import { readMetrics } from '../runs/metrics.js';
import { configPath, type FinetuneRunFacts, readFinetuneRun } from '../runs/run.js';
import { spreadOver } from '../spread.js';
import { readTable } from '../tables/read.js';
import { numberIn, type Table } from '../tables/table.js';
import { checkUnchanged, importedModels, importedWorkload, openTrainedFile } from '../train/imported.js';
import { createPredictor, type Prediction, targetWorkload } from '../train/target.js';
import { readTrial, type TrialSummary } from './finetune-summary.js';
import { sessionFacts } from './report.js';
import { formatScore, type Scores } from './score-samples.js';

export interface TargetReportOptions {
  /** Folder of a finished trial. */
  readonly run: string;
  /** Its sample store, if it has moved. */
  readonly data?: string;
  readonly device?: string;
}

export interface TargetReportSummary {
  readonly report: string;
  readonly text: string;
  readonly test: Scores;
}

/** Test samples that are shown as pictures. */
const SHOWN = 4;

/** @throws UserError for a trial that has not been tested */
function testedTrial(run: string): TrialSummary {
  const trial = readTrial(run);
  if (trial) return trial;
  throw new UserError('run', {
    what: 'this trial has not been tested yet',
    where: run,
    expected: 'scores.json, which p2w finetune writes when it finishes',
    fix: 'finish it: p2w finetune … --resume',
  });
}

/** The ROC curve of a classifier of two classes. */
function rocOf(table: Table, classes: readonly string[]): [number, number][] {
  const scores = (positive: boolean) =>
    table.rows
      .filter(({ cells }) => (cells.label === classes[1]) === positive)
      .map((row) => numberIn(row, `p_${classes[1]}`));
  return rocCurve(rankScores(scores(true), scores(false)));
}

/** Samples with their Dice, the mean of the classes, from the worst to the best, evenly spread; those without one have nothing to show. */
function shownScores({ rows }: Table): Map<string, number> {
  const ranked = rows
    .filter(({ cells }) => (cells['dice@0.5'] ?? '') !== '')
    .map((row) => ({ id: row.cells.id!, dice: numberIn(row, 'dice@0.5') }))
    .sort((a, b) => a.dice - b.dice);
  const shown = spreadOver(ranked.length, SHOWN).map((i) => ranked[i]!);
  return new Map(shown.map(({ id, dice }) => [id, dice]));
}

/** A prediction as pictures: classes together, each of them as bright as the others. */
function segmented(store: SampleStore, { sample, probabilities }: Prediction, dice: number): SegmentedSample {
  const { size, window, classes } = store.manifest;
  const { image, mask } = readSample(store, sample);
  const voxels = size[0] * size[1] * size[2];
  const any = Float32Array.from({ length: voxels }, (_, i) =>
    Math.max(...classes.map((__, c) => probabilities[c * voxels + i]!)),
  );
  const foreground = Float32Array.from(mask!, (label) => (label > 0 ? 1 : 0));
  const unit = { low: 0, high: 1 };
  return {
    name: sample.id,
    image: middleSlices(image.subarray(0, voxels) as Voxels, size, window ?? unit),
    reference: middleSlices(foreground, size, unit),
    prediction: middleSlices(any, size, unit),
    dice,
  };
}

/** The network of a trial: one of our own, or an ONNX model that was trained. */
function trialWorkload({ config, format }: FinetuneRunFacts, run: string): Workload {
  const { model, init } = config;
  if (!model) return targetWorkload(config, format, null);
  const file = openTrainedFile(init.from);
  checkUnchanged(file, model.sha256, configPath(run));
  const adapter = imageAdapter(file.path, readModelFile(file.path).model, format, model.inputRange);
  return importedWorkload(importedModels(file, model, adapter), config, format, adapter, null);
}

/** The samples that a trial was tested on. @throws UserError when there are others now */
function testedStore(folder: string, { state: { dataHash } }: Checkpoint): SampleStore {
  const store = openSampleStore(folder);
  if (store.hash === dataHash) return store;
  throw new UserError('data', {
    what: 'these are not the samples that the trial was tested on',
    where: folder,
    fix: 'prepare them as they were, name the store that they are in with --data, or train the trial again',
  });
}

async function segmentedSamples(
  facts: FinetuneRunFacts,
  options: TargetReportOptions,
  scores: ReadonlyMap<string, number>,
): Promise<SegmentedSample[]> {
  const { config, data } = facts;
  const checkpoint = resolveCheckpoint(options.run, 'best');
  const { tensors } = checkpoint;
  const store = testedStore(options.data ?? data, checkpoint);
  const engine = await openEngine(options.device ?? config.device);
  const predictor = await createPredictor(trialWorkload(facts, options.run), config, store, engine);
  const samples = [...scores.keys()].flatMap(
    (id) => store.manifest.samples.find((sample) => sample.id === id) ?? [],
  );
  const shown: SegmentedSample[] = [];
  try {
    for await (const prediction of predictor.predict(samples, tensors))
      shown.push(segmented(store, prediction, scores.get(prediction.sample.id)!));
  } finally {
    await predictor.release();
  }
  return shown;
}

/**
 * Writes `report.html` of a finished trial: curves, scores, the ROC curve or pictures of segmentations.
 * @throws UserError when there is no such trial, it is not finished, or its samples are not where they were
 * @example
 * const { report } = await makeTargetReport({ run: 'runs/target/trial-01' });
 */
export async function makeTargetReport(options: TargetReportOptions): Promise<TargetReportSummary> {
  const facts = readFinetuneRun(options.run);
  const { config, format } = facts;
  const { test, bestStep } = testedTrial(options.run);
  const predictions = readTable(join(options.run, 'predictions.csv'));
  const records = readMetrics(join(options.run, 'metrics.jsonl'));
  const isClassifier = config.kind === 'classification';
  const scoreName = isClassifier ? 'auc' : 'dice@0.5';
  const report = join(options.run, 'report.html');
  const page = renderTargetReport({
    title: `Fine-tuning ${basename(resolve(options.run, '..'))}, ${basename(resolve(options.run))}`,
    createdAt: new Date().toISOString(),
    kind: config.kind,
    classes: format.classes,
    begunFrom: config.init.from,
    bestStep,
    bestBy: config.bestBy,
    training: records
      .filter((r) => 'loss' in r)
      .map((r) => ({ step: r.step as number, loss: r.loss as number })),
    validation: records
      .filter((r) => 'validationLoss' in r)
      .map((r) => ({
        step: r.step as number,
        loss: r.validationLoss as number,
        score: r[scoreName] ?? null,
      })),
    scoreName,
    scores: test,
    testSamples: predictions.rows.length,
    roc: isClassifier && format.classes.length === 2 ? rocOf(predictions, format.classes) : null,
    samples: isClassifier ? [] : await segmentedSamples(facts, options, shownScores(predictions)),
    configuration: { data: facts.data, ...config },
    ...sessionFacts(options.run),
  });
  writeFileAtomic(report, page);
  const scores = Object.entries(test).map(([name, value]) => `  ${name}: ${formatScore(value)}`);
  return { report, text: [`wrote ${report}`, ...scores].join('\n'), test };
}
