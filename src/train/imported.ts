/** Target tasks on ONNX models that are trained themselves. */

import { createHash } from 'node:crypto';
import { type ImportedModel, type ImportOptions, importModel } from '../../graphs/imported/import-model.js';
import { DROPOUT_SEED } from '../../graphs/imported/network.js';
import type { Parameter } from '../../graphs/nn/module.js';
import type { ImageAdapter } from '../../graphs/objectives/image-adapter.js';
import {
  importedClassification,
  importedSegmentation,
  type TargetHead,
} from '../../graphs/objectives/imported-target.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import type { FinetuneConfig, ImportedConfig } from '../config/finetuning.js';
import type { SampleFormat } from '../data/samples/manifest.js';
import { abridged, UserError } from '../errors.js';
import { buildGraph, type Workload } from '../execution/models.js';
import { ofFile } from '../of-file.js';
import { type ModelFile, withModelFile } from '../onnx-file.js';
import { randomStream } from '../random.js';
import type { Tensors } from '../runtime/engine.js';
import { shellWord } from '../shell.js';
import { type ClassWeights, headOf, imageOf, segmentationLosses } from './target.js';

/** An ONNX model that is trained, as its file holds it. */
export interface TrainedFile extends ModelFile {
  readonly path: string;
  readonly sha256: string;
}

/** @throws UserError when the file cannot be read, or is no model */
export const openTrainedFile = (path: string): TrainedFile =>
  withModelFile(path, (file) => ({
    ...file,
    path,
    sha256: createHash('sha256').update(file.bytes).digest('hex'),
  }));

/** @param source what says which file it was @throws UserError when the file is not what it was */
export function checkUnchanged({ path, sha256 }: TrainedFile, expected: string, source: string): void {
  if (sha256 === expected) return;
  throw new UserError('input', {
    what: 'this is not the model that was trained: its file has been changed',
    where: path,
    got: `SHA-256 ${sha256}`,
    expected: `${expected}, as ${source} says`,
    fix: 'put the original file there',
  });
}

/** Whether a name is one of those that patterns name, in which * stands for any characters. */
export function matcher(patterns: readonly string[]): (name: string) => boolean {
  const escaped = patterns.map((pattern) =>
    pattern
      .split('*')
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*'),
  );
  const regular = new RegExp(`^(${escaped.join('|')})$`, 's');
  return (name) => patterns.length > 0 && regular.test(name);
}

/** Importing as a configuration says. */
export const importOptions = (
  { freeze, split }: { readonly freeze: readonly string[]; readonly split: ImportedConfig['split'] },
  inputs: ImportOptions['inputs'],
): ImportOptions => ({
  inputs,
  freeze: matcher(freeze),
  ...(split === 'vectors' ? {} : { split: () => split === 'all' }),
});

/**
 * @param parameters of the graphs that train the model
 * @param where the model's file
 * @throws UserError when a name to freeze is that of no weight, or nothing is left to be trained
 */
export function checkTrained(
  { report }: ImportedModel,
  parameters: readonly Parameter[],
  freeze: readonly string[],
  where: string,
): void {
  const frozen = report.frozen.map(({ name }) => name);
  const idle = freeze.filter((pattern) => !frozen.some(matcher([pattern])));
  if (idle.length > 0)
    throw new UserError('usage', {
      what: 'no weight of this model has such a name',
      where: `--freeze ${idle.join(',')}`,
      got: abridged([...report.trained, ...report.frozen].map(({ name }) => name)),
      fix: `p2w inspect ${shellWord(where)} lists the names`,
    });
  if (!parameters.some(({ trainable }) => trainable))
    throw new UserError('input', { what: 'this model has nothing left to train', where });
}

/** The layers of a task behind or in a model. */
export const targetHeadOf = (
  { kind, hidden, model }: FinetuneConfig,
  format: SampleFormat,
): TargetHead & { readonly head: ImportedConfig['head'] } => ({
  kind,
  head: model!.head,
  value: model!.output,
  outputs: kind === 'segmentation' ? format.classes.length : headOf(format, null).outputs,
  hidden,
});

/** A model for batches of images. @throws UserError when it cannot be trained, or does not take them */
export function importFor(
  { path, bytes, externalData }: TrainedFile,
  config: ImportedConfig,
  { input, shape }: ImageAdapter,
  samples: number,
): ImportedModel {
  const inputs = { [input]: [samples, ...shape] };
  const options = { ...importOptions(config, inputs), externalData };
  const fix =
    'sizes that the file fixes must be those of the samples: --size of `p2w prepare --task`; for one image at a time, --set microBatch=1';
  return ofFile(path, () => importModel(bytes, options), fix);
}

/** A model for any number of images at once; for each it is imported once. @throws UserError as {@link importFor} */
export function importedModels(
  file: TrainedFile,
  config: ImportedConfig,
  adapter: ImageAdapter,
): (samples: number) => ImportedModel {
  const known = new Map<number, ImportedModel>();
  return (samples) => {
    const model = known.get(samples) ?? importFor(file, config, adapter, samples);
    known.set(samples, model);
    return model;
  };
}

/** What a fine-tuning run trains where its network is an ONNX model. @param models as {@link importedModels} gives them */
export function importedWorkload(
  models: (samples: number) => ImportedModel,
  config: FinetuneConfig,
  format: SampleFormat,
  adapter: ImageAdapter,
  weights: ClassWeights,
): Workload {
  const head = targetHeadOf(config, format);
  return (samples) => {
    const options = { image: imageOf(format, samples), adapter, head, rate: config.encoderRate };
    return config.kind === 'segmentation'
      ? importedSegmentation(models(samples), options, segmentationLosses(config.loss, weights))
      : importedClassification(models(samples), options, headOf(format, weights).loss);
  };
}

/** What the graphs of a model with Dropout are fed beside the samples: the seed of each batch, by its number in the training. */
export function dropoutFeeds(workload: Workload, config: FinetuneConfig): (batch: number) => Tensors {
  const { graph } = buildGraph('forward', workload, config);
  if (!graph.inputs.some(({ name }) => name === DROPOUT_SEED)) return () => ({});
  return (batch) => {
    const seed = Math.floor(randomStream(config.seed, 'dropout', batch).between(0, 2 ** 31));
    return { [DROPOUT_SEED]: { type: 'int64', shape: [], data: BigInt64Array.of(BigInt(seed)) } };
  };
}

const described = (tensors: readonly { readonly shape: readonly number[] }[]): string =>
  `${tensors.length} tensors (${tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0).toLocaleString('en')} values)`;

/** What is trained of a model, for people. @param parameters of the graphs: without a head that is replaced, with the new one */
export function formatTrained(
  { report, parameters: own }: ImportedModel,
  parameters: readonly Parameter[],
): string {
  const names = new Set(own.filter(({ role }) => role === 'weight').map(({ name }) => name));
  const [trained, frozen, added] = [
    parameters.filter(({ name, trainable }) => names.has(name) && trainable),
    parameters.filter(({ name, trainable }) => names.has(name) && !trainable),
    parameters.filter(({ name, trainable }) => !names.has(name) && trainable),
  ];
  return [
    `trains ${described(trained)} of the model`,
    ...(added.length > 0 ? [`new: ${described(added)}`] : []),
    ...(frozen.length > 0 ? [`frozen: ${described(frozen)}`] : []),
    ...report.warnings,
  ].join('\n');
}
