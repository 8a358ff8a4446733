/** What the trials of an experiment have scored, beside the paper's figures. */
import { join } from 'node:path';
import { grouped } from '../../graphs/onnx/grouped.js';
import { mean, pearson } from '../analysis/statistics.js';
import { patientsOf, trainingSamples } from '../data/samples/batches.js';
import { readSampleManifest, type SampleManifest } from '../data/samples/manifest.js';
import { UserError } from '../errors.js';
import { writeTogether } from '../files.js';
import { readMetrics } from '../runs/metrics.js';
import { toCsv } from '../tables/csv.js';
import type { JobResult } from './job-files.js';
import { runFolder } from './jobs.js';
import { renderExperiment, trialsChart } from './page.js';
import type { Trial } from './plan.js';
import type { CheckpointPoint, ExperimentResult, TrialsName } from './result.js';
import type { ExperimentConfig, Source, Target } from './schema.js';
import { compareAll, type Group, groupOf, keyOf } from './statistics.js';

const metricOf = (target: Target): string =>
  target.metric ?? (readSampleManifest(target.data).kind === 'classification' ? 'auc' : 'iou_fg@0.5');

/** Of each training of a job. */
interface TestedTrial {
  readonly seed: number;
  readonly test: Readonly<Record<string, number | null>>;
}

/** @throws UserError when a trial has no such score */
function scoreOf(result: JobResult, metric: string, { job, seed }: Trial): number {
  const trials = result.trials as readonly TestedTrial[];
  const scores = trials.find((trial) => trial.seed === seed)!.test;
  const value = scores[metric];
  if (typeof value === 'number') return value;
  throw new UserError('config', {
    what: value === null ? 'this score is undefined for the samples' : 'the trials do not have this score',
    where: 'metric',
    got: metric,
    expected: `one of ${Object.keys(scores).join(', ')} (${job})`,
  });
}

/** How many patients a trial was trained with. */
function patientsFor(manifest: SampleManifest, { amount, seed }: Trial): number {
  const choice = { fraction: 1, patients: null, seed, ...amount };
  return patientsOf(trainingSamples(manifest, choice)).length;
}

/** The values of all trials that differ in their seeds only. */
function groupsOf(
  config: ExperimentConfig,
  trials: readonly Trial[],
  results: ReadonlyMap<string, JobResult>,
): (Group & { readonly step: number | null })[] {
  const metrics = new Map(config.targets.map((target) => [target.name, metricOf(target)]));
  const manifests = new Map(config.targets.map(({ name, data }) => [name, readSampleManifest(data)]));
  const cells = grouped(trials, (trial) => [keyOf(trial), trial.source, trial.step].join('\n'));
  return [...cells.values()].map((cell) => {
    const { target, amount, source, step } = cell[0]!;
    const metric = metrics.get(target)!;
    const values = cell.map((trial) => scoreOf(results.get(trial.job)!, metric, trial));
    const trainingPatients = mean(cell.map((trial) => patientsFor(manifests.get(target)!, trial)));
    return { ...groupOf({ target, amount, trainingPatients, source, metric, values }), step };
  });
}

/** Validation losses of a run by step. */
const validationLosses = (run: string): Map<number, number> =>
  new Map(
    readMetrics(join(run, 'metrics.jsonl'))
      .filter((record) => 'validationLoss' in record)
      .map((record) => [record.step as number, record.validationLoss as number]),
  );

function alongTraining(groups: ReturnType<typeof groupsOf>, run: string): CheckpointPoint[] {
  const losses = validationLosses(run);
  const steps = [...new Set(groups.map(({ step }) => step!))].sort((a, b) => a - b);
  return steps.map((step) => ({
    step,
    validationMse: losses.get(step)!,
    scores: Object.fromEntries(
      groups
        .filter((group) => group.step === step)
        .map(({ target, mean, deviation }) => [target, { mean, deviation }]),
    ),
  }));
}

/** One line a trial. @param checkpoints of Fig. 3, whose validation errors are a column more */
function trialsCsv(
  config: ExperimentConfig,
  groups: ReturnType<typeof groupsOf>,
  checkpoints: readonly CheckpointPoint[],
): string {
  const errors = new Map(checkpoints.map(({ step, validationMse }) => [step, validationMse]));
  const isFigure = errors.size > 0;
  const rows = groups.flatMap(({ target, amount, source, step, metric, values }) => {
    const { fraction = '', patients = '' } = amount as { fraction?: number; patients?: number };
    return values.map((value, i) => [
      ...[target, fraction, patients, source, step ?? '', config.seed + i, metric, value],
      ...(isFigure ? [errors.get(step!)!] : []),
    ]);
  });
  const heads = ['target', 'fraction', 'patients', 'source', 'step', 'seed', 'metric', 'value'];
  return toCsv([...heads, ...(isFigure ? ['validation_mse'] : [])], rows);
}

/** Writes the page, tables and chart of what trials have scored. */
export function writeResults(
  name: TrialsName,
  config: ExperimentConfig,
  sources: readonly Source[],
  trials: readonly Trial[],
  results: ReadonlyMap<string, JobResult>,
  out: string,
): ExperimentResult {
  const groups = groupsOf(config, trials, results);
  const isFigure = name === 'fig3';
  const checkpoints = isFigure ? alongTraining(groups, runFolder(out, sources[0]!)) : [];
  const correlations = Object.fromEntries(
    isFigure
      ? config.targets.map(({ name: target }) => [
          target,
          pearson(
            checkpoints.map(({ validationMse }) => 1 - validationMse),
            checkpoints.map(({ scores }) => scores[target]!.mean),
          ),
        ])
      : [],
  );
  const file = (extension: string) => join(out, `${name}.${extension}`);
  const result: ExperimentResult = {
    name,
    groups,
    comparisons: isFigure ? [] : compareAll(groups),
    checkpoints,
    correlations,
    files: { page: file('html'), json: file('json'), csv: file('csv'), chart: file('svg') },
  };
  writeTogether([
    [result.files.csv, trialsCsv(config, groups, checkpoints)],
    [result.files.chart, trialsChart(result)],
    [result.files.json, `${JSON.stringify({ config, ...result }, null, 2)}\n`],
    [result.files.page, renderExperiment(result, config)],
  ]);
  return result;
}
