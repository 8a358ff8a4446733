import { resolve } from 'node:path';
import { grouped } from '../../graphs/onnx/grouped.js';
import type { TaskKind } from '../config/finetuning.js';
import { readSampleManifest } from '../data/samples/manifest.js';
import { checkAgreement } from '../distributed/agreement.js';
import { alone, isFirst, type Ranks } from '../distributed/ranks.js';
import { checkInteger, UserError } from '../errors.js';
import { makeFolder } from '../files.js';
import { acquireLock } from '../lock.js';
import { isOnnxFile } from '../onnx-file.js';
import { type Reporting, silent } from '../progress.js';
import { checkShard, type Shard } from '../shard.js';
import { version } from '../version.js';
import { checkBases, withBases } from './basis.js';
import { type Fig2Result, formatFig2, planFig2, writeFig2 } from './fig2.js';
import type { JobResult } from './job-files.js';
import { checkpointSteps, exportJob, type Job, pretrainConfig, pretrainJob } from './jobs.js';
import { checkIds, type Plan, planTrials } from './plan.js';
import type { ExperimentResult, TrialsName } from './result.js';
import { runJobs } from './run-jobs.js';
import {
  amountsOf,
  type ExperimentConfig,
  type ExperimentName,
  readExperiment,
  type Source,
  type Target,
} from './schema.js';
import { pretrainedAs, SOURCES } from './sources.js';
import { nameOf } from './statistics.js';
import { writeResults } from './write-results.js';

export interface ExperimentOptions extends Reporting {
  readonly name: ExperimentName;
  /** A JSON file; see docs/experiments.md. */
  readonly config: string;
  /** Folder of all runs and results; what is done there is not done again. */
  readonly out: string;
  /** Trainings at once. */
  readonly processes: number;
  /**
   * Processes that divide the jobs among them, as `openMpi` joins them, with a folder that all of them see; this one alone without
   * it. The first of them writes the results.
   */
  readonly ranks?: Ranks;
  /** True on any rank saves and ends. */
  readonly interrupted?: () => boolean;
}

/** What one shard has done. */
export interface ExperimentShard {
  /** Jobs of the experiment that are done, by any shard. */
  readonly done: number;
  readonly jobs: number;
}

/** Keeps and validates all checkpoints that Fig. 3 needs; training goes on to its last step. */
const fig3Settings = (steps: readonly number[]) => [
  `checkpoints.keepEvery=${steps[1]}`,
  `validation.every=${steps[1]}`,
  'checkpoints.keepLogSpaced=1',
  'schedule.earlyStop=null',
];

/** @throws UserError for probes where there can be none */
function checkProbes({ targets }: ExperimentConfig, kindOf: (target: Target) => TaskKind): void {
  for (const [i, target] of targets.entries())
    if (target.probe && kindOf(target) !== 'classification')
      throw new UserError('config', {
        what: 'features are probed by classifiers',
        where: `targets.${i}.probe`,
        got: `${target.name}, segmentation`,
        expected: 'a classification',
      });
}

/** @throws UserError where a source that begins from a file cannot be used */
function checkInits(name: ExperimentName, { targets }: ExperimentConfig, sources: readonly Source[]): void {
  const isProbed = targets.some(({ probe }) => probe);
  for (const [i, { init }] of sources.entries()) {
    if (init === undefined) continue;
    const refuse = (what: string, expected: string) =>
      new UserError('config', { what, where: `sources.${i}.init`, got: init, expected });
    if (name === 'fig2' || name === 'fig3')
      throw refuse('the figures follow pre-trainings', 'sources with "pretrain"');
    if (isProbed && !isOnnxFile(init))
      throw refuse('the features of this source cannot be probed', 'an ONNX encoder');
  }
}

/** @throws UserError unless there is one pre-training that Fig. 3 can follow */
function checkFollowed(sources: readonly Source[]): void {
  if (sources.length === 1 && sources[0]!.pretrain !== null) return;
  throw new UserError('config', {
    what: 'Fig. 3 follows one pre-training',
    where: 'sources',
    got: sources
      .map(({ name, pretrain }) => (pretrain === null ? `${name} (not pre-trained)` : name))
      .join(', '),
    expected: 'one source, with a list of settings in "pretrain"',
  });
}

/** @throws UserError where a target of Fig. 3 would have several scores at each checkpoint */
function checkAmounts({ targets }: ExperimentConfig): void {
  const amounts = grouped(targets, ({ name }) => name);
  for (const [name, of] of amounts)
    if (of.flatMap(amountsOf).length > 1)
      throw new UserError('config', {
        what: 'Fig. 3 has one score of each target at each checkpoint',
        where: 'targets',
        got: `${name}, with several amounts of its data`,
        expected: 'one number of patients, or one fraction',
      });
}

function planExperiment(
  name: TrialsName,
  config: ExperimentConfig,
  sources: readonly Source[],
  out: string,
): Plan {
  if (config.targets.length === 0)
    throw new UserError('config', {
      what: 'this experiment needs target tasks',
      where: 'targets',
      expected: 'a list of {"name": …, "data": a sample store}',
    });
  if (name === 'fig3') checkAmounts(config);
  const kindOf = (target: Target) => readSampleManifest(target.data).kind;
  const along = name === 'fig3' ? checkpointSteps(pretrainConfig(config, sources[0]!)) : null;
  const steps = along ?? [null];
  const extra = along ? fig3Settings(along) : [];
  const pretraining: Job[] = sources
    .filter((source) => source.pretrain !== null && pretrainedAs(source, sources) === source)
    .map((source) => pretrainJob(config, source, out, extra));
  checkProbes(config, kindOf);
  const isProbed = config.targets.some(({ probe }) => probe);
  const exports = isProbed
    ? sources
        .filter(({ init }) => init === undefined)
        .flatMap((source) => steps.map((step) => exportJob(source, sources, out, step)))
    : [];
  const { jobs, trials } = planTrials(config, sources, out, kindOf, steps);
  return { jobs: [...pretraining, ...exports, ...jobs], trials };
}

/**
 * Runs an experiment of the paper on data of one's own: pre-trainings, then fine-tunings with several seeds, in
 * processes of their own, and writes what came out beside the paper's figures.
 * @returns null when it was interrupted, and the same call goes on; null also on other ranks than the first
 * @throws UserError for a bad configuration, data that are not there, trainings that fail, and ranks that differ
 * @example
 * await runExperiment({ name: 'table1', config: 'study.json', out: 'study', processes: 2 });
 */
export async function runExperiment(
  options: ExperimentOptions,
): Promise<ExperimentResult | Fig2Result | null> {
  const { name, out, ranks = alone } = options;
  const { config, sources, plan } = examine(options);
  await checkAgreement(ranks, { version, name, out: resolve(out), ...config });
  const results = await runPlan(plan, options);
  if (!results || !isFirst(ranks)) return null;
  if (name === 'fig2') return writeFig2(sources, results, out);
  return writeResults(name, config, sources, plan.trials, results, out);
}

/**
 * Runs one shard's share of an experiment, while other processes run theirs, on this machine or on others with the same folder.
 * {@link runExperiment} then finds them done, and writes the results.
 * @returns null when it was interrupted; the same call goes on
 * @throws UserError as {@link runExperiment}
 * @example
 * await runExperimentShard({ name: 'table1', config: 'study.json', out: 'study', processes: 2 }, { index: 1, count: 4 });
 */
export async function runExperimentShard(
  options: ExperimentOptions,
  shard: Shard,
): Promise<ExperimentShard | null> {
  checkShard(shard);
  const { plan } = examine(options);
  const results = await runPlan(plan, options, shard);
  return results && { done: results.size, jobs: plan.jobs.length };
}

function examine({ name, out, processes, config: path }: ExperimentOptions) {
  checkInteger('--processes', processes, 1);
  const config = readExperiment(path);
  const sources = config.sources ?? SOURCES[name];
  checkInits(name, config, sources);
  if (name === 'fig3') checkFollowed(sources);
  const plan: Plan =
    name === 'fig2'
      ? { jobs: planFig2(config, sources, out), trials: [] }
      : planExperiment(name, config, sources, out);
  checkIds(sources, plan);
  const jobs = withBases(plan.jobs);
  checkBases(out, jobs);
  return { config, sources, plan: { ...plan, jobs } };
}

async function runPlan(
  { jobs }: Plan,
  { out, processes, ranks = alone, interrupted, reporter = silent }: ExperimentOptions,
  shard?: Shard,
): Promise<ReadonlyMap<string, JobResult> | null> {
  const run = () =>
    runJobs(jobs, {
      ...{ out, processes, reporter, ranks },
      ...(interrupted ? { interrupted } : {}),
      ...(shard ? { shard } : {}),
    });
  if (!isFirst(ranks)) return run();
  makeFolder(out);
  const lock = acquireLock(out, 'experiment', shard);
  try {
    return await run();
  } finally {
    lock.release();
  }
}

const percent = (value: number) => (100 * value).toFixed(2);

/** The result for people. */
export function formatExperiment(result: ExperimentResult | Fig2Result): string {
  if (result.name === 'fig2') return formatFig2(result);
  const { groups, comparisons, correlations, files } = result;
  const means = groups.map(
    ({ source, metric, mean, deviation, values, ...of }) =>
      `${nameOf(of)}: ${source} ${metric} ${percent(mean)}` +
      `${deviation === null ? '' : ` ± ${percent(deviation)}`} (${values.length})`,
  );
  const tests = comparisons.map(
    ({ source, against, difference, paired, holm, ...of }) =>
      `${nameOf(of)}: ${source} − ${against} ${percent(difference)}` +
      `, p = ${holm === null ? 'not defined' : `${paired!.toPrecision(2)}, with Holm’s correction ${holm.toPrecision(2)}`}`,
  );
  const found = Object.entries(correlations).map(
    ([target, r]) => `${target}: r = ${r ? `${r.r.toFixed(2)} over ${r.n} checkpoints` : 'not defined'}`,
  );
  return [...(result.name === 'fig3' ? found : [...means, ...tests]), `wrote ${files.page}`].join('\n');
}
