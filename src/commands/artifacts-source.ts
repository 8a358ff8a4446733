import type { Parameter } from '../../graphs/nn/module.js';
import type { Objective } from '../../graphs/objectives/objective.js';
import { type FinetuneConfig, resolveFinetuneConfig } from '../config/finetuning.js';
import type { ConfigChanges } from '../config/layers.js';
import { type Config, changeConfig, type PresetName, resolveConfig } from '../config/pretraining.js';
import type { TrainingConfig } from '../config/training.js';
import { checkSampleFormat, type SampleFormat } from '../data/samples/manifest.js';
import { valuesOf } from '../data/samples/values.js';
import { INTENSITIES } from '../data/scan/normalise.js';
import type { XYZ } from '../data/scan/volume.js';
import { refuseIdle, UserError } from '../errors.js';
import { type Checkpoint, resolveCheckpoint } from '../runs/checkpoint.js';
import {
  type FinetuneRunFacts,
  isFinetuneRun,
  type RunFacts,
  readFinetuneRun,
  readRun,
} from '../runs/run.js';
import type { State } from '../runs/state.js';
import { shellWord } from '../shell.js';
import { freshState } from '../train/fresh-state.js';
import { proxyWorkload } from '../train/proxy.js';
import { startState } from '../train/start-state.js';
import { targetWorkload } from '../train/target.js';
import { initialize } from '../weights/initialize.js';
import type { ArtifactsManifest, ArtifactTask, ModelFacts } from './artifacts-manifest.js';
import { modelName } from './export-files.js';
import { openModelObjective } from './model-objective.js';

/** What is to be trained. */
export interface SourceOptions extends ConfigChanges<Config | FinetuneConfig> {
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
}

/** What is trained, as a run's config.json says it, and from which state on. */
export interface Source {
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

/** What of a pre-training a new target task takes over. */
type Pretrained = Pick<Config, 'whole' | 'network' | 'normalise' | 'window'>;

/** @throws UserError for a window that samples do not have */
function checkWindow({ normalise, window: { low, high } }: Pretrained): void {
  const { window } = INTENSITIES.minmax;
  if (normalise !== 'minmax' || (low === window.low && high === window.high)) return;
  throw new UserError('run', {
    what: 'samples of min–max values have no window of their own, which this encoder was pre-trained with',
    got: `from ${low} to ${high}`,
    expected: `from ${window.low} to ${window.high}`,
  });
}

/** A target task that there are no samples of yet: of images as the encoder was trained on. */
function newFormat(
  task: 'classify' | 'segment',
  options: SourceOptions,
  pretrained: Pretrained,
): SampleFormat {
  checkWindow(pretrained);
  const { whole, normalise, window } = pretrained;
  const fallback = task === 'classify' ? ['no', 'yes'] : ['inside'];
  return checkSampleFormat({
    task: 'manifest',
    kind: KINDS[task],
    classes: [...(options.classes ?? fallback)],
    size: options.size ?? (whole as XYZ),
    channels: options.channels ?? 1,
    ...valuesOf(normalise, window),
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
function modelSource(options: SourceOptions & { readonly model: string }): Source {
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
const newTargetOptions = ({ classes, channels, size }: SourceOptions) => ({
  '--classes': classes,
  '--channels': channels,
  '--size': size,
});

function fromRun(run: string, options: SourceOptions): Source {
  const { task } = options;
  if (isFinetuneRun(run)) {
    const facts = readFinetuneRun(run);
    if (facts.config.model)
      throw new UserError('usage', {
        what: 'this run has trained an ONNX model',
        where: run,
        fix: `p2w export --run ${shellWord(run)} --out exported, then p2w artifacts --model exported/${modelName(facts.config)}.onnx`,
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
  return newTarget(task, options, facts.config, run);
}

function newTarget(
  task: 'classify' | 'segment',
  options: SourceOptions,
  pretrained: Pretrained,
  from: string,
): Source {
  const { file, config: asked } = options as ConfigChanges<FinetuneConfig>;
  const config = resolveFinetuneConfig({
    kind: KINDS[task],
    network: pretrained.network,
    file,
    config: { ...asked, init: { ...asked?.init, from } },
  });
  const format = newFormat(task, options, pretrained);
  return targetSource(task, { data: '', format, spacing: null, config }, null);
}

/** @throws UserError for options that do not go together, and a run that is none */
export function sourceOf(options: SourceOptions): Source {
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
  if (task !== 'pretrain') return newTarget(task, options, resolveConfig({ preset }), 'random');
  const { file, config: asked } = options as ConfigChanges<Config>;
  const config = resolveConfig({ preset, ...(file && { file }), ...(asked && { config: asked }) });
  return proxySource({ data: '', tile: config.whole as XYZ, config }, null);
}
