import {
  binaryCrossEntropy,
  crossEntropy,
  meanPerSample,
  softDice,
  softDicePerSample,
  weightedMean,
} from '../nn/losses.js';
import type { NetworkBuilder } from '../nn/module.js';
import { asFloat } from '../onnx/blocks.js';
import { GraphError, knownShape, type Value } from '../onnx/types.js';
import type { LossAndOutputs } from './objective.js';
import { sampleWeights } from './sample-weights.js';

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
 * The objective of logits [N,n,…], whatever they were made of. Classes may overlap, each position and class has a sigmoid of its
 * own, unless a loss says otherwise. Inputs: `sample_weight` [N], and `mask` uint8 [N,n,…] of zeros and ones. An evaluation
 * returns `loss` [N], of each sample alone, `weight` [N] and `probabilities` [N,n,…].
 * @param isSoftmax classes exclude each other, as they do for cross-entropy
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
