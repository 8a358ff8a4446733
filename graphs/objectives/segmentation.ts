import { type SegmenterOptions, segmenter } from '../models/transfer.js';
import { asFloat } from '../nn/input.js';
import {
  binaryCrossEntropy,
  meanPerSample,
  softDice,
  softDicePerSample,
  weightedMean,
} from '../nn/losses.js';
import type { Value } from '../onnx/types.js';
import { type ImageOptions, imageInput, sampleWeights } from './image.js';
import type { Objective } from './objective.js';

export type SegmentationLoss =
  /** Soft Dice over the whole batch, mean of the classes. */
  | { readonly name: 'dice' }
  /** Mean over all voxels and classes; `positiveWeights`, one a class, count voxels inside it more. */
  | { readonly name: 'binaryCrossEntropy'; readonly positiveWeights: readonly number[] | null };

export interface SegmentationOptions extends ImageOptions, SegmenterOptions {
  /** The loss is their sum. */
  readonly losses: readonly [SegmentationLoss, ...SegmentationLoss[]];
}

/**
 * Segmentation of images; classes may overlap, each voxel and class has a sigmoid of its own. Inputs: `image` as
 * {@link imageInput} says, `sample_weight` [N], and `mask` uint8 [N,classes,D,H,W] of zeros and ones. An evaluation
 * returns `loss` [N], of each sample alone, `weight` [N] and `probabilities` [N,classes,D,H,W].
 */
export const segmentation =
  (options: SegmentationOptions): Objective =>
  (net) => {
    const { g } = net;
    const logits = segmenter(net, imageInput(g, options), options);
    const weights = sampleWeights(g, options);
    const mask = asFloat(g, g.input('mask', 'uint8', [options.batch, options.classes, ...options.size]));
    const probabilities = g.add('Sigmoid', [logits]);
    const sum = (each: (loss: SegmentationLoss) => Value) =>
      g.scope('loss', () => options.losses.map(each).reduce((total, term) => g.add('Add', [total, term])));
    const crossEntropies = (positiveWeights: readonly number[] | null) =>
      meanPerSample(g, binaryCrossEntropy(g, logits, mask, positiveWeights));
    return {
      loss: () =>
        sum((loss) =>
          loss.name === 'dice'
            ? softDice(g, probabilities, mask, weights)
            : weightedMean(g, crossEntropies(loss.positiveWeights), weights),
        ),
      outputs: () => ({
        loss: sum((loss) =>
          loss.name === 'dice'
            ? softDicePerSample(g, probabilities, mask)
            : crossEntropies(loss.positiveWeights),
        ),
        weight: weights,
        probabilities,
      }),
    };
  };
