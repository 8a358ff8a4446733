/** A target task: its graphs, what they are fed, and what they say of samples. */
import { classification, featureClassification } from '../../graphs/objectives/classification.js';
import type { ImageOptions } from '../../graphs/objectives/image.js';
import type { SegmentationLoss } from '../../graphs/objectives/masks.js';
import { segmentation } from '../../graphs/objectives/segmentation.js';
import type { FinetuneConfig } from '../config/finetuning.js';
import { microBatches } from '../config/training.js';
import { evaluationBatches, type SampleBatch } from '../data/samples/batches.js';
import { voxelsOfClasses } from '../data/samples/check.js';
import type { SampleEntry, SampleFormat, SampleManifest } from '../data/samples/manifest.js';
import type { SampleStore } from '../data/samples/store.js';
import { UserError } from '../errors.js';
import { buildGraph, loadGraph, type Workload } from '../execution/models.js';
import type { State } from '../runs/state.js';
import type { Engine, EngineTensor, Tensors } from '../runtime/engine.js';

/** How much the rarer answers count; null where all count alike. */
export type ClassWeights = readonly number[] | null;

/**
 * Weights by how rare a class is: for several classes, one each, 1 on average over the samples; for yes and no, and for
 * voxels inside a mask, how many no there are for a yes.
 */
export function classWeightsFor(
  { kind, balance, batch, microBatch }: FinetuneConfig,
  manifest: SampleManifest,
  samples: readonly SampleEntry[],
): ClassWeights {
  if (balance !== 'weights') return null;
  const { classes, size } = manifest;
  if (kind === 'classification') {
    const counts = classes.map((_, c) => samples.filter(({ label }) => label === c).length);
    if (classes.length === 2) return [counts[0]! / Math.max(1, counts[1]!)];
    // The mean is weighted within a micro-batch: in one of a single sample, no weight is left.
    if (microBatch !== null && microBatch < batch)
      throw new UserError('config', {
        what: 'the weights of more than two classes are those of a whole batch, of which a micro-batch is a part',
        where: 'balance, microBatch',
        got: `weights, with ${microBatch} of ${batch} samples at once`,
        fix: 'balance by sampling, or use micro-batches as large as the batch',
      });
    return counts.map((count) => samples.length / (classes.length * Math.max(1, count)));
  }
  const [x, y, z] = size;
  const voxels = samples.length * x * y * z;
  return voxelsOfClasses(samples, manifest).map((count) => (voxels - count) / Math.max(1, count));
}

export const segmentationLosses = (
  loss: FinetuneConfig['loss'],
  positiveWeights: ClassWeights,
): [SegmentationLoss, ...SegmentationLoss[]] => {
  const dice: SegmentationLoss = { name: 'dice' };
  const binary: SegmentationLoss = { name: 'binaryCrossEntropy', positiveWeights };
  return loss === 'dice' ? [dice] : loss === 'binaryCrossEntropy' ? [binary] : [dice, binary];
};

/** Two classes have one output, the probability of the second. */
export const headOf = ({ classes }: SampleFormat, weights: ClassWeights) =>
  classes.length === 2
    ? ({ outputs: 1, loss: { name: 'binaryCrossEntropy', positiveWeights: weights } } as const)
    : ({ outputs: classes.length, loss: { name: 'crossEntropy', classWeights: weights } } as const);

/** Images of samples, as graphs are given them. */
export function imageOf(
  { channels, size: [x, y, z], type, window }: SampleFormat,
  batch: number,
): ImageOptions {
  return { batch, channels, size: [z, y, x], inputType: type, window };
}

/** What a fine-tuning run trains. */
export function targetWorkload(
  config: FinetuneConfig,
  format: SampleFormat,
  weights: ClassWeights,
): Workload {
  const { network, frozenEncoder, encoderRate, hidden, loss } = config;
  const { classes } = format;
  const transfer = { network, frozenEncoder, encoderRate };
  return (samples) => {
    const image = imageOf(format, samples);
    if (config.kind === 'segmentation')
      return segmentation({
        ...image,
        ...transfer,
        classes: classes.length,
        losses: segmentationLosses(loss, weights),
      });
    return classification({ ...image, ...transfer, hidden, ...headOf(format, weights) });
  };
}

/** What a run trains on the features of an external encoder. */
export const headWorkload =
  ({ hidden }: FinetuneConfig, format: SampleFormat, dimensions: number, weights: ClassWeights): Workload =>
  (samples) =>
    featureClassification({ batch: samples, dimensions, hidden, ...headOf(format, weights) });

/** What the graphs call the parts of a batch. */
export function sampleFeeds(
  { image, weight, label, mask, indices }: SampleBatch,
  { classes, channels, size: [x, y, z], type }: SampleFormat,
): Record<string, EngineTensor> {
  const size = indices.length;
  const common: Record<string, EngineTensor> = {
    image: { type, shape: [size, channels, z, y, x], data: image },
    sample_weight: { type: 'float32', shape: [size], data: weight },
  };
  if (mask) return { ...common, mask: { type: 'uint8', shape: [size, classes.length, z, y, x], data: mask } };
  if (classes.length > 2) return { ...common, label: { type: 'int32', shape: [size], data: label! } };
  return {
    ...common,
    label: { type: 'float32', shape: [size, 1], data: Float32Array.from(label!) },
  };
}

/** What a network says of one sample. */
export interface Prediction {
  readonly sample: SampleEntry;
  readonly loss: number;
  /** Its share in the mean loss. */
  readonly weight: number;
  /** Of each class: [classes], or [classes, D, H, W]. */
  readonly probabilities: Float32Array;
}

/** Runs a network on samples without training it. */
export interface Predictor {
  predict(samples: readonly SampleEntry[], state: State): AsyncGenerator<Prediction>;
  release(): Promise<void>;
}

/** What a graph is fed for a batch of some samples. */
export type SampleFeeds = (batch: SampleBatch, samples: readonly SampleEntry[]) => Tensors;

/** Loads a run's evaluation graph. @param feedsOf for graphs that take anything but images */
export async function createPredictor(
  workload: Workload,
  config: FinetuneConfig,
  store: SampleStore,
  engine: Engine,
  feedsOf: SampleFeeds = (batch) => sampleFeeds(batch, store.manifest),
): Promise<Predictor> {
  const built = buildGraph('evaluation', workload, config);
  const session = await loadGraph(built, config, engine);
  const names = built.parameters.map(({ name }) => name).filter((name) => session.inputs.includes(name));
  const { size } = microBatches(config);
  const { classes } = store.manifest;
  const isBinary = config.kind === 'classification' && classes.length === 2;
  return {
    async *predict(samples, state) {
      const parameters = Object.fromEntries(names.map((name) => [name, state.get(name)!]));
      for (const batch of evaluationBatches(store, samples, size)) {
        const feeds = feedsOf(batch, samples);
        const taken = Object.fromEntries(session.inputs.filter((n) => n in feeds).map((n) => [n, feeds[n]!]));
        const out = await session.run({ ...taken, ...parameters });
        const [losses, weights, values] = ['loss', 'weight', 'probabilities'].map(
          (name) => out[name]!.data as Float32Array,
        );
        const length = values!.length / size;
        for (const [i, index] of batch.indices.entries()) {
          if (batch.weight[i] === 0) break;
          const own = values!.subarray(i * length, (i + 1) * length);
          yield {
            sample: samples[index]!,
            loss: losses![i]!,
            weight: weights![i]!,
            probabilities: isBinary ? Float32Array.of(1 - own[0]!, own[0]!) : own,
          };
        }
      }
    },
    release: () => session.release(),
  };
}
