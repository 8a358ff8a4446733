/** What logits are trained to say, whatever network they come from: classes of samples, or of every position of a map. */
import { asFloat } from '../nn/input.js';
import {
  binaryCrossEntropy,
  classWeight,
  crossEntropy,
  meanPerSample,
  oneHot,
  softDice,
  softDicePerSample,
  weightedMean,
} from '../nn/losses.js';
import type { NetworkBuilder } from '../nn/module.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { GraphError, knownShape, type Value } from '../onnx/types.js';
import type { LossAndOutputs } from './objective.js';

/** The input `sample_weight` float32 [N]: how much each sample counts; 0 for those that only fill up a batch. */
export const sampleWeights = (g: GraphBuilder, batch: number): Value =>
  g.input('sample_weight', g.float, [batch]);

export type ClassificationLoss =
  /** Each output is a question of its own, answered by its sigmoid; `positiveWeights`, one an output, count its yes more. */
  | { readonly name: 'binaryCrossEntropy'; readonly positiveWeights: readonly number[] | null }
  /** Outputs are classes of which one is right, softmax. `classWeights`, one a class, count its samples more. */
  | { readonly name: 'crossEntropy'; readonly classWeights: readonly number[] | null };

/** What logits [N,n] are compared with, and how. */
export interface ClassifiedOptions {
  readonly batch: number;
  readonly outputs: number;
  readonly loss: ClassificationLoss;
}

/** The loss of logits [N,n], sample by sample. */
interface SampleLosses {
  /** [N] */
  readonly losses: Value;
  /** [N] */
  readonly weights: Value;
  /** [N,n] */
  readonly probabilities: () => Value;
}

function sampleLosses(
  g: GraphBuilder,
  logits: Value,
  weights: Value,
  { loss, batch, outputs }: ClassifiedOptions,
): SampleLosses {
  if (loss.name === 'binaryCrossEntropy') {
    const label = g.input('label', g.float, [batch, outputs]);
    return {
      losses: meanPerSample(g, binaryCrossEntropy(g, logits, label, loss.positiveWeights)),
      weights,
      probabilities: () => g.add('Sigmoid', [logits]),
    };
  }
  const classes = oneHot(g, g.input('label', 'int32', [batch]), outputs);
  return {
    losses: crossEntropy(g, logits, classes),
    weights: loss.classWeights
      ? g.add('Mul', [weights, classWeight(g, classes, loss.classWeights)])
      : weights,
    probabilities: () => g.add('Softmax', [logits], { axis: 1 }),
  };
}

/** The objective of logits [N,n], whatever they were made of. Inputs and outputs are those of `classification` without the image. */
export function classified({ g }: NetworkBuilder, logits: Value, options: ClassifiedOptions): LossAndOutputs {
  const samples = g.scope('loss', () => sampleLosses(g, logits, sampleWeights(g, options.batch), options));
  return {
    loss: () => g.scope('loss', () => weightedMean(g, samples.losses, samples.weights)),
    outputs: () => ({
      loss: samples.losses,
      weight: samples.weights,
      probabilities: samples.probabilities(),
    }),
  };
}

export type SegmentationLoss =
  /** Soft Dice over the whole batch, mean of the classes. */
  | { readonly name: 'dice' }
  /** Mean over all voxels and classes; `positiveWeights`, one a class, count voxels inside it more. */
  | { readonly name: 'binaryCrossEntropy'; readonly positiveWeights: readonly number[] | null }
  /** Mean over all voxels, each of which is of one class: probabilities are those of a softmax. */
  | { readonly name: 'crossEntropy' };

/** The loss is their sum. */
export type SegmentationLosses = readonly [SegmentationLoss, ...SegmentationLoss[]];

/**
 * The objective of logits [N,n,…], whatever they were made of. Inputs and outputs are those of `segmentation` without the image.
 * @param isSoftmax each position is of one class, as it is for cross-entropy: probabilities are those of a softmax
 */
export function segmented(
  { g }: NetworkBuilder,
  logits: Value,
  losses: SegmentationLosses,
  isSoftmax = false,
): LossAndOutputs {
  const shape = knownShape(logits.shape, 'segmentation');
  const weights = sampleWeights(g, shape[0]!);
  const mask = asFloat(g, g.input('mask', 'uint8', shape));
  const isExclusive = isSoftmax || losses.some(({ name }) => name === 'crossEntropy');
  if (isExclusive && losses.some(({ name }) => name === 'binaryCrossEntropy'))
    throw new GraphError(
      'cross-entropy, of classes that exclude each other, does not go with binary cross-entropy',
    );
  const probabilities = isExclusive ? g.add('Softmax', [logits], { axis: 1 }) : g.add('Sigmoid', [logits]);
  const perSample = (loss: Exclude<SegmentationLoss, { name: 'dice' }>) =>
    meanPerSample(
      g,
      loss.name === 'crossEntropy'
        ? crossEntropy(g, logits, mask)
        : binaryCrossEntropy(g, logits, mask, loss.positiveWeights),
    );
  const sum = (each: (loss: SegmentationLoss) => Value) =>
    g.scope('loss', () => losses.map(each).reduce((total, term) => g.add('Add', [total, term])));
  return {
    loss: () =>
      sum((loss) =>
        loss.name === 'dice'
          ? softDice(g, probabilities, mask, weights)
          : weightedMean(g, perSample(loss), weights),
      ),
    outputs: () => ({
      loss: sum((loss) =>
        loss.name === 'dice' ? softDicePerSample(g, probabilities, mask) : perSample(loss),
      ),
      weight: weights,
      probabilities,
    }),
  };
}
