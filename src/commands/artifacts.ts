import { join } from 'node:path';
import type { Parameter } from '../../graphs/nn/module.js';
import type { Objective } from '../../graphs/objectives/objective.js';
import type { Value } from '../../graphs/onnx/types.js';
import {
  encodeCheckpoint,
  type NamedTensor,
  type OnDeviceCheckpoint,
} from '../../graphs/ort-training/checkpoint.js';
import {
  type OnDeviceOptimizer,
  onDeviceEvaluationGraph,
  onDeviceOptimizerGraph,
  onDeviceTrainingGraph,
  onDeviceWeightsGraph,
  type RateSchedule,
} from '../../graphs/ort-training/models.js';
import { type BuiltGraph, slotName } from '../../graphs/programs/built.js';
import { type FinetuneConfig, resolveFinetuneConfig } from '../config/finetuning.js';
import type { ConfigChanges } from '../config/layers.js';
import { type Config, changeConfig, type PresetName, resolveConfig } from '../config/pretraining.js';
import type { TrainingConfig } from '../config/training.js';
import { checkSampleFormat, type SampleFormat } from '../data/samples/manifest.js';
import { INTENSITIES } from '../data/scan/normalise.js';
import type { XYZ } from '../data/scan/volume.js';
import { checkInteger, refuseIdle, UserError } from '../errors.js';
import { built, encodeGraph, portable } from '../execution/models.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { type Checkpoint, resolveCheckpoint } from '../runs/checkpoint.js';
import {
  type FinetuneRunFacts,
  isFinetuneRun,
  type RunFacts,
  readFinetuneRun,
  readRun,
} from '../runs/run.js';
import type { State } from '../runs/state.js';
import { freshState } from '../train/fresh-state.js';
import { proxyWorkload } from '../train/proxy.js';
import { startState } from '../train/start-state.js';
import { targetWorkload } from '../train/target.js';
import { initialize } from '../weights/initialize.js';
import {
  type ArtifactsManifest,
  type ArtifactTask,
  artifactsManifest,
  FILES,
  MOMENT_SLOTS,
  type ModelFacts,
} from './artifacts-manifest.js';
import { artifactsReadme } from './artifacts-readme.js';
import { modelName } from './export-files.js';
import { openModelObjective } from './model-objective.js';

export interface ArtifactsOptions extends ConfigChanges<Config | FinetuneConfig> {
  /** A pre-training run, or a trial of a fine-tuning, to go on from. */
  readonly run?: string;
  /** Any ONNX model instead, by a loss on its output: see `ModelObjectiveOptions`. */
  readonly model?: string;
  readonly loss?: string;
  readonly output?: string;
  readonly inputSizes?: Readonly<Record<string, readonly number[]>>;
  readonly freeze?: readonly string[];
  /** Untrained weights for a network of this preset instead. */
  readonly preset?: PresetName;
  /** What to train for; that of the run without it. */
  readonly task?: ArtifactTask;
  /** Of a new target task: names of classes, channels of an image, and its voxels. */
  readonly classes?: readonly string[];
  readonly channels?: number;
  readonly size?: XYZ;
  /** ONNX Runtime's optimiser; that of the configuration without it. */
  readonly optimizer?: OnDeviceOptimizer['name'];
  /** Updates over which the learning rate rises. */
  readonly warmup?: number;
  /** The update at which the learning rate has fallen to 0 in a straight line; constant without it. */
  readonly decayTo?: number;
  readonly out: string;
}

/** What is trained, as a run's config.json says it, and from which state on. */
interface Source {
  readonly task: ArtifactsManifest['task'];
  readonly config: TrainingConfig;
  /** What is needed to bring weights back. */
  readonly origin: Readonly<Record<string, unknown>>;
  readonly objective: Objective;
  readonly checkpoint: Checkpoint | null;
  /** Of a network that no checkpoint holds. */
  start(parameters: readonly Parameter[]): Promise<State>;
}

const KINDS = { classify: 'classification', segment: 'segmentation' } as const;

const originOf = ({ config, ...facts }: RunFacts | FinetuneRunFacts) => ({ ...facts, ...config });

const fresh = (config: TrainingConfig) => async (parameters: readonly Parameter[]) =>
  freshState(parameters, config, initialize(parameters, config.seed));

/** A target task that there are no samples of yet. */
function newFormat(task: 'classify' | 'segment', options: ArtifactsOptions, whole: XYZ): SampleFormat {
  const fallback = task === 'classify' ? ['no', 'yes'] : ['inside'];
  return checkSampleFormat({
    task: 'manifest',
    kind: KINDS[task],
    classes: [...(options.classes ?? fallback)],
    size: options.size ?? whole,
    channels: options.channels ?? 1,
    type: 'int16',
    window: INTENSITIES.hu.window,
  });
}

function targetSource(
  task: 'classify' | 'segment',
  facts: FinetuneRunFacts,
  checkpoint: Checkpoint | null,
): Source {
  const { config, format } = facts;
  return {
    task,
    config,
    origin: originOf(facts),
    objective: targetWorkload(config, format, null)(config.batch),
    checkpoint,
    start: async (parameters) => (await startState(config, parameters)).state,
  };
}

function proxySource(facts: RunFacts, checkpoint: Checkpoint | null): Source {
  const { config, tile } = facts;
  const objective = proxyWorkload(config, tile)(config.batch);
  return { task: 'pretrain', config, origin: originOf(facts), objective, checkpoint, start: fresh(config) };
}

/** An ONNX model and a loss on its output. */
function modelSource(options: ArtifactsOptions & { readonly model: string }): Source {
  refuseIdle('--model', {
    ...{ '--run': options.run, '--preset': options.preset, '--task': options.task },
    ...newTargetOptions(options),
  });
  const { file: changes, config: asked } = options as ConfigChanges<FinetuneConfig>;
  const { file, model, objective } = openModelObjective(options);
  const config = resolveFinetuneConfig({ kind: 'classification', file: changes, config: asked });
  const facts: ModelFacts = {
    model: options.model,
    sha256: file.sha256,
    inputSizes: Object.fromEntries(model.inputs.map(({ name, shape }) => [name, shape as number[]])),
    freeze: [...(options.freeze ?? [])],
  };
  return { task: 'model', config, origin: facts, objective, checkpoint: null, start: fresh(config) };
}

/** What only a target task has that there are no samples of yet. */
const newTargetOptions = ({ classes, channels, size }: ArtifactsOptions) => ({
  '--classes': classes,
  '--channels': channels,
  '--size': size,
});

function fromRun(run: string, options: ArtifactsOptions): Source {
  const { task } = options;
  if (isFinetuneRun(run)) {
    const facts = readFinetuneRun(run);
    if (facts.config.model)
      throw new UserError('usage', {
        what: 'this run has trained an ONNX model',
        where: run,
        fix: `p2w export --run ${run} --out exported, then p2w artifacts --model exported/${modelName(facts.config)}.onnx`,
      });
    const own = facts.config.kind === 'classification' ? 'classify' : 'segment';
    if (task && task !== own)
      throw new UserError('usage', {
        what: 'this run was trained for a different task',
        where: '--task',
        got: task,
        expected: own,
      });
    refuseIdle('a run that already has a task and a configuration', {
      ...newTargetOptions(options),
      '--config': options.file,
      '--set': Object.keys(options.config ?? {}).length > 0 ? options.config : undefined,
    });
    return targetSource(own, facts, resolveCheckpoint(run, 'last'));
  }
  const facts = readRun(run);
  if (!task || task === 'pretrain')
    return proxySource(
      { ...facts, config: changeConfig(facts.config, options as ConfigChanges<Config>) },
      resolveCheckpoint(run, 'last'),
    );
  return newTarget(task, options, facts.config.whole as XYZ, facts.config.network, run);
}

function newTarget(
  task: 'classify' | 'segment',
  options: ArtifactsOptions,
  whole: XYZ,
  network: FinetuneConfig['network'],
  from: string,
): Source {
  const { file, config: asked } = options as ConfigChanges<FinetuneConfig>;
  const config = resolveFinetuneConfig({
    kind: KINDS[task],
    network,
    file,
    config: { ...asked, init: { ...asked?.init, from } },
  });
  const format = newFormat(task, options, whole);
  return targetSource(task, { data: '', format, spacing: null, config }, null);
}

function sourceOf(options: ArtifactsOptions): Source {
  const { run, preset = 'tiny', task = 'pretrain', model } = options;
  if (model !== undefined) return modelSource({ ...options, model });
  const { loss, output, inputSizes, freeze } = options;
  refuseIdle('a network of our own: give --model', {
    ...{ '--loss': loss, '--output': output, '--input-size': inputSizes, '--freeze': freeze },
  });
  if (run !== undefined) refuseIdle('--run', { '--preset': options.preset });
  if (task === 'pretrain' && !(run !== undefined && isFinetuneRun(run)))
    refuseIdle('pre-training: give --task classify or segment', newTargetOptions(options));
  if (run !== undefined) return fromRun(run, options);
  if (task !== 'pretrain') {
    const { whole, network } = resolveConfig({ preset });
    return newTarget(task, options, whole as XYZ, network, 'random');
  }
  const config = resolveConfig({ ...(options as ConfigChanges<Config>), preset });
  return proxySource({ data: '', tile: config.whole as XYZ, config }, null);
}

/** ONNX Runtime's optimiser for that of a configuration. @throws UserError where it has none like it */
export function optimizerFor(config: TrainingConfig, wanted?: OnDeviceOptimizer['name']): OnDeviceOptimizer {
  const { optimizer } = config;
  if (wanted === 'sgd') return { name: 'sgd' };
  if (optimizer.name === 'sgd') {
    if (wanted === 'adamw') return { name: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
    throw new UserError('config', {
      what: 'ONNX Runtime’s SGD has no momentum and no weight decay',
      where: 'optimizer',
      got: JSON.stringify(optimizer),
      fix: 'use --optimizer sgd to train without them, or --optimizer adamw to switch the optimiser',
    });
  }
  if (optimizer.name === 'adam' && optimizer.weightDecay > 0 && !wanted)
    throw new UserError('config', {
      what: 'ONNX Runtime has only AdamW, whose weight decay differs from Adam’s',
      where: 'optimizer.weightDecay',
      got: String(optimizer.weightDecay),
      expected: '0, or --optimizer adamw',
    });
  return { ...optimizer, name: 'adamw' };
}

/** The state of a training as ONNX Runtime's checkpoint. */
function checkpointOf(
  parameters: readonly Parameter[],
  state: State,
  step: number,
  optimizer: OnDeviceOptimizer,
): OnDeviceCheckpoint {
  const tensor = (name: string, as = name): NamedTensor => {
    const { shape, data } = state.get(name)!;
    return { name: as, shape, data: data as Float32Array };
  };
  const trained = parameters.filter((p) => p.trainable);
  const hasMoments = optimizer.name === 'adamw' && state.has(slotName('m', trained[0]!.name));
  return {
    trainable: trained.map(({ name }) => tensor(name)),
    frozen: parameters.filter((p) => !p.trainable).map(({ name }) => tensor(name)),
    optimizer:
      step === 0 || !hasMoments
        ? null
        : {
            step,
            moments: trained.map(({ name }) => ({
              parameter: name,
              tensors: MOMENT_SLOTS.map((slot, i) => tensor(slotName(slot, name), `momentum${i}`)),
            })),
          },
  };
}

/** What the interface takes and gives by itself. */
const INTERNAL = /_grad\.accumulation\.(buffer|out)$|\.next\.out$|^lazy_reset_grad$/;

/** What a caller takes part in. */
const described = (values: readonly Value[], parameters: ReadonlySet<string>) =>
  values
    .filter(({ name }) => !parameters.has(name) && !INTERNAL.test(name))
    .map(({ name, type, shape }) => ({ name, type, shape: shape as number[] }));

export interface ArtifactsSummary {
  readonly out: string;
  readonly task: ArtifactsManifest['task'];
  /** Updates that the weights have seen. */
  readonly step: number;
  readonly inputs: ArtifactsManifest['inputs'];
  readonly bytes: number;
}

/**
 * Writes what ONNX Runtime's training interface on a device takes: training, evaluation and optimiser model, and a
 * checkpoint; beside them `weights_model.onnx`, `manifest.json` and a README that shows the calls in each language.
 * @throws UserError for bad options, a run that is none, an optimiser that ONNX Runtime does not have, a full disk
 * @example
 * await writeArtifacts({ run: 'runs/first', out: 'artifacts' });
 */
export async function writeArtifacts(options: ArtifactsOptions): Promise<ArtifactsSummary> {
  const { task, config, origin, objective: network, checkpoint, start } = sourceOf(options);
  const optimizer = optimizerFor(config, options.optimizer);
  const schedule: RateSchedule = {
    learningRate: config.learningRate,
    warmup: options.warmup ?? 0,
    decayTo: options.decayTo ?? null,
  };
  checkInteger('--warmup', schedule.warmup, 0);
  if (schedule.decayTo !== null) checkInteger('--steps', schedule.decayTo, 1);
  if (schedule.decayTo !== null && schedule.decayTo <= schedule.warmup)
    throw new UserError('usage', {
      what: 'the learning rate cannot fall to 0 before the warm-up ends',
      where: '--steps',
      got: String(schedule.decayTo),
      expected: `more than the ${schedule.warmup} updates of --warmup`,
    });
  const training = built('training', () => onDeviceTrainingGraph(network));
  const { parameters } = training;
  const graphs: Readonly<Record<string, BuiltGraph>> = {
    [FILES.training]: training,
    [FILES.evaluation]: built('evaluation', () => onDeviceEvaluationGraph(network)),
    [FILES.weights]: onDeviceWeightsGraph(parameters),
    [FILES.optimizer]: {
      graph: onDeviceOptimizerGraph({ optimizer, clipNorm: config.clipNorm, schedule }),
      parameters,
    },
  };
  const state = checkpoint?.tensors ?? (await start(parameters));
  const step = checkpoint?.state.step ?? 0;
  const names = new Set(parameters.map(({ name }) => name));
  const manifest = artifactsManifest({
    task,
    inputs: described(training.graph.inputs, names),
    outputs: described(training.graph.outputs, names),
    parameters: parameters.map(({ name, shape, trainable }) => ({ name, shape: [...shape], trainable })),
    optimizer,
    schedule: { ...schedule },
    files: FILES,
    run: origin,
    dataHash: checkpoint?.state.dataHash ?? '',
  });
  const files: [string, string | Uint8Array][] = [
    ...Object.entries(graphs).map(([name, graph]): [string, Uint8Array] => [
      name,
      encodeGraph(graph, portable(config)),
    ]),
    [FILES.checkpoint, encodeCheckpoint(checkpointOf(parameters, state, step, optimizer))],
    ['README.md', artifactsReadme(manifest)],
    ['manifest.json', `${JSON.stringify(manifest, null, 2)}\n`],
  ];
  makeFolder(options.out);
  for (const [name, content] of files) writeFileAtomic(join(options.out, name), content);
  const bytes = files.reduce((sum, [, content]) => sum + content.length, 0);
  return { out: options.out, task, step, inputs: manifest.inputs, bytes };
}

/** The summary for people. */
export function formatArtifacts({ out, task, step, inputs, bytes }: ArtifactsSummary): string {
  return [
    `wrote the training, evaluation and optimizer models and the checkpoint to ${out} (${(bytes / 1e6).toFixed(1)} MB)`,
    `task ${task}, ${step === 0 ? (task === 'model' ? 'with the weights of the model' : 'untrained') : `after ${step} updates`}; inputs: ${inputs.map(({ name, type, shape }) => `${name} ${type}[${shape.join(',')}]`).join(', ')}`,
    `${join(out, 'README.md')} shows how to call them; bring a checkpoint back with: p2w artifacts import --artifacts ${out} --checkpoint FILE --out ${task === 'model' ? 'trained' : 'runs/back'}`,
  ].join('\n');
}
