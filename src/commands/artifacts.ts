import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Parameter } from '../../graphs/nn/module.js';
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
import type { TrainingConfig } from '../config/training.js';
import { checkInteger, UserError } from '../errors.js';
import { built, encodeGraph, portable } from '../execution/models.js';
import { makeFolder, writeTogether } from '../files.js';
import type { State } from '../runs/state.js';
import { shellWord } from '../shell.js';
import {
  type ArtifactsManifest,
  artifactsManifest,
  FILES,
  MANIFEST,
  MOMENT_SLOTS,
  README,
} from './artifacts-manifest.js';
import { artifactsReadme } from './artifacts-readme.js';
import { type SourceOptions, sourceOf } from './artifacts-source.js';

export interface ArtifactsOptions extends SourceOptions {
  /** ONNX Runtime's optimiser; that of the configuration without it. */
  readonly optimizer?: OnDeviceOptimizer['name'];
  /** Updates over which the learning rate rises. */
  readonly warmup?: number;
  /** The update at which the learning rate has fallen to 0 in a straight line; constant without it. */
  readonly decayTo?: number;
  /** Replace files of `out`. */
  readonly overwrite?: boolean;
  readonly out: string;
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

/** @throws UserError when a file is there that would be written, such as a checkpoint that a device has trained */
function refusePresent(out: string): void {
  const found = [...Object.values(FILES), README, MANIFEST].filter((name) => existsSync(join(out, name)));
  if (found.length === 0) return;
  throw new UserError('usage', {
    what: 'this folder has files that would be replaced',
    where: out,
    got: found.join(', '),
    fix: 'choose another folder, or add --overwrite',
  });
}

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
 * @throws UserError for bad options, a run that is none, an optimiser that ONNX Runtime does not have, files that are there already,
 * a full disk
 * @example
 * await writeArtifacts({ run: 'runs/first', out: 'artifacts' });
 */
export async function writeArtifacts(options: ArtifactsOptions): Promise<ArtifactsSummary> {
  if (!options.overwrite) refusePresent(options.out);
  const { task, config, origin, objective: network, checkpoint, start } = sourceOf(options);
  const optimizer = optimizerFor(config, options.optimizer);
  const schedule: RateSchedule = {
    learningRate: config.learningRate,
    warmup: options.warmup ?? config.schedule.warmup,
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
    [README, artifactsReadme(manifest)],
    [MANIFEST, `${JSON.stringify(manifest, null, 2)}\n`],
  ];
  makeFolder(options.out);
  writeTogether(files.map(([name, content]) => [join(options.out, name), content]));
  const bytes = files.reduce((sum, [, content]) => sum + content.length, 0);
  return { out: options.out, task, step, inputs: manifest.inputs, bytes };
}

/** The summary for people. */
export function formatArtifacts({ out, task, step, inputs, bytes }: ArtifactsSummary): string {
  return [
    `wrote the training, evaluation and optimizer models and the checkpoint to ${out} (${(bytes / 1e6).toFixed(1)} MB)`,
    `task ${task}, ${step === 0 ? (task === 'model' ? 'with the weights of the model' : 'untrained') : `after ${step} updates`}; inputs: ${inputs.map(({ name, type, shape }) => `${name} ${type}[${shape.join(',')}]`).join(', ')}`,
    `${join(out, 'README.md')} shows how to call them; bring a checkpoint back with: p2w artifacts import --artifacts ${shellWord(out)} --checkpoint FILE --out ${task === 'model' ? 'trained' : 'runs/back'}`,
  ].join('\n');
}
