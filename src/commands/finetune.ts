import { join } from 'node:path';
import { mean, standardDeviation } from '../analysis/statistics.js';
import {
  checkSampleSize,
  type FinetuneConfig,
  type FinetuneSources,
  resolveFinetuneConfig,
} from '../config/finetuning.js';
import type { ConfigChanges } from '../config/layers.js';
import { checkPlan } from '../config/training.js';
import { patientsOf, trainingSamples } from '../data/samples/batches.js';
import { checkSplit, classNotes } from '../data/samples/check.js';
import { SAMPLE_SPLITS, type SampleSplit } from '../data/samples/manifest.js';
import { commonSpacing, openSampleStore } from '../data/samples/store.js';
import { checkAgreement } from '../distributed/agreement.js';
import { alone, fromFirst, isFirst, type Ranks } from '../distributed/ranks.js';
import { checkInteger, UserError } from '../errors.js';
import { openEngine } from '../execution/open-engine.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { externalFeatures, standardised } from '../inference/external-encoder.js';
import { imageAdapter, spacingNote } from '../inference/image-adapter.js';
import { checkThreads } from '../machine.js';
import { isOnnxFile, readModelFile } from '../onnx-file.js';
import { silent } from '../progress.js';
import { isRun, refuseRun } from '../runs/run.js';
import { nodeEngine } from '../runtime/node.js';
import { openTrainedFile, type TrainedFile } from '../train/imported.js';
import { intensityNotes } from '../train/intensity-notes.js';
import { digestOfInit, networkOf } from '../train/start-state.js';
import { version } from '../version.js';
import { type FinetuneSummary, overTrials, readTrial, type TrialSummary } from './finetune-summary.js';
import { runTrial, type Study, type TrainedModel, type TrialOptions } from './finetune-trial.js';

export interface FinetuneOptions extends ConfigChanges<FinetuneConfig>, TrialOptions {
  /** Folder of the runs, one a trial: `trial-01`, `trial-02`, … */
  readonly out: string;
  /** The task that the store must be of; any without it. */
  readonly task?: string;
  /**
   * Where weights come from, instead of the configuration's `init.from`: `random` (the default), a run, a file of weights, the
   * name of an encoder that comes with the package, or an ONNX model, which is trained itself, or, with `frozenEncoder`, gives the features
   * that a classifier is trained on.
   */
  readonly init?: string;
  /** Classification: trains one linear layer on a frozen encoder. */
  readonly linearProbe?: boolean;
  /** How often to train, each time with the next seed; default 1. */
  readonly trials?: number;
  /** Of the first trial; the configuration's without it. */
  readonly seed?: number;
  /** All processes that train each trial together, as for `pretrain`; this one alone without it. */
  readonly ranks?: Ranks;
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
  const { init, seed, file, config: asked, linearProbe = false } = options;
  const { kind } = store.manifest;
  if (linearProbe && kind !== 'classification')
    throw new UserError('usage', {
      what: 'a linear probe is a classifier',
      where: '--linear-probe',
      got: `samples for ${kind} in ${store.folder}`,
      fix: 'use --freeze, which trains the decoder on a frozen encoder',
    });
  return {
    kind,
    file,
    config: {
      ...asked,
      ...(linearProbe && { frozenEncoder: true, hidden: null }),
      seed: seed ?? asked?.seed,
      init: { ...asked?.init, from: init ?? asked?.init?.from },
    },
  };
}

/**
 * What ONNX Runtime cannot run could be trained, which takes other operators and types, but neither checked nor used afterwards.
 * @throws UserError when it rejects the model
 */
async function checkRuns({ path, bytes }: TrainedFile): Promise<void> {
  try {
    await (await nodeEngine.load(bytes, { threads: 1, rewrite: 'nothing' })).release();
  } catch (error) {
    throw new UserError('input', {
      what: 'ONNX Runtime cannot run this model, so that what is trained could not be exported',
      where: path,
      got: (error as Error).message,
      fix: 'convert it to float32, or to operators that ONNX Runtime has on a CPU',
      cause: error,
    });
  }
}

/** The ONNX model that is to be trained, if it is one. @throws UserError when there is none, and settings are for one */
async function openTrained(
  { store }: Pick<Study, 'store'>,
  sources: FinetuneSources,
): Promise<TrainedModel | null> {
  const { init, frozenEncoder, model } = resolveFinetuneConfig(sources);
  const { from } = init;
  if (isOnnxFile(from) && !frozenEncoder) {
    const { model: original } = readModelFile(from);
    const note = spacingNote(original, commonSpacing(store.manifest.samples));
    const adapter = imageAdapter(from, original, store.manifest, model?.inputRange);
    const file = openTrainedFile(from);
    // ONNX Runtime would look for weights in files beside the model in the working folder.
    if (!original.external) await checkRuns(file);
    return { file, adapter, notes: note ? [note] : [] };
  }
  if (model)
    throw new UserError('config', {
      what: 'names of weights to freeze, a head, an output and a range of its input are for an ONNX model that is trained',
      where: 'model',
      got: frozenEncoder ? `${from}, frozen as a whole` : from,
      expected: '--init with an .onnx file, without --linear-probe and without a plain --freeze',
    });
  return null;
}

/** The configuration of the first trial; others have other seeds. */
function firstConfig(
  { store }: Pick<Study, 'store'>,
  sources: FinetuneSources,
  model: TrainedModel | null,
): FinetuneConfig {
  const own = model
    ? { model: { sha256: model.file.sha256 } }
    : { network: networkOf(resolveFinetuneConfig(sources).init.from) };
  const resolved = resolveFinetuneConfig({ ...sources, ...own });
  // Of a model that is trained, its own section has the digest.
  const init = { ...resolved.init, sha256: model ? '' : digestOfInit(resolved.init) };
  const config = { ...resolved, init };
  if (model) checkPlan(config);
  else if (isOnnxFile(config.init.from)) checkExternal(config);
  else checkSampleSize(config, store.manifest.size);
  return config;
}

const trialFolder = (out: string, number: number): string =>
  join(out, `trial-${String(number).padStart(2, '0')}`);

/** What to say where more trials are finished than are asked for: their scores are in no summary then. */
function trialNotes(out: string, trials: number): string[] {
  let finished = 0;
  while (readTrial(trialFolder(out, finished + 1))) finished++;
  return finished > trials ? [`${finished} trials are finished here; the summary is of ${trials}`] : [];
}

/** What to say where trials have more patients than were asked for. */
function patientNotes({ store }: Pick<Study, 'store'>, configs: readonly FinetuneConfig[]): string[] {
  const { patients } = configs[0]!;
  if (patients === null) return [];
  const counts = configs.map((config) => patientsOf(trainingSamples(store.manifest, config)).length);
  const more = counts.filter((count) => count > patients);
  if (more.length === 0) return [];
  return [
    `so that every class is among them, ${more.length} of ${counts.length} trials have up to ${Math.max(...more)} patients instead of ${patients}`,
  ];
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
  const model = await openTrained(data, sources);
  const wanted = firstConfig(data, sources, model);
  const runs = Array.from({ length: trials }, (_, i) => ({
    run: trialFolder(out, i + 1),
    config: { ...wanted, seed: wanted.seed + i },
  }));
  const [first] = runs;
  await checkAgreement(ranks, {
    ...{ version, trials, resume, 'hash of the data': data.store.hash },
    'finished trials': runs.filter(({ run }) => resume && readTrial(run)).length,
    ...first!.config,
  });
  const isBegun = runs.some(({ run }) => isRun(run));
  if (!resume) for (const { run } of runs) refuseRun(run);
  const notes = [
    ...trialNotes(out, trials),
    ...patientNotes(
      data,
      runs.map(({ config }) => config),
    ),
    ...SAMPLE_SPLITS.flatMap((split) => classNotes(data.splits[split], split, data.store.manifest)),
    ...(model?.notes ?? intensityNotes(first!.config.init.from, data.store.manifest)),
  ];
  for (const note of notes) reporter.log(`note: ${note}`);
  if (!isBegun) checkThreads('threads', first!.config.threads, 0);
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
