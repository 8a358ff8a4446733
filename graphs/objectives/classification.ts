import { type ClassifierOptions, classifier, classifierHead } from '../models/transfer.js';
import { type ImageOptions, imageInput } from './image.js';
import { type ClassificationLoss, type ClassifiedOptions, classified } from './logits.js';
import type { Objective } from './objective.js';

export interface ClassificationOptions extends ImageOptions, ClassifierOptions {
  readonly loss: ClassificationLoss;
}

/**
 * Classification of images. Inputs: `image` as {@link imageInput} says, `sample_weight` [N], and `label`: float32
 * [N,outputs] in [0, 1] for binary cross-entropy, int32 [N], class numbers from 0, for cross-entropy. The loss is the
 * samples' mean, weighted by `sample_weight` and their class's weight. An evaluation returns `loss` and `weight` [N],
 * of which it is made, and `probabilities` [N,outputs].
 */
export const classification =
  (options: ClassificationOptions): Objective =>
  (net) =>
    classified(net, classifier(net, imageInput(net.g, options), options), options);

export interface FeatureClassificationOptions extends ClassifiedOptions {
  /** Length of a feature vector. */
  readonly dimensions: number;
  readonly hidden: number | null;
}

/** Classification of feature vectors, the input `features` float32 [N,F]; all else as {@link classification}. */
export const featureClassification =
  (options: FeatureClassificationOptions): Objective =>
  (net) => {
    const vector = net.g.input('features', net.g.float, [options.batch, options.dimensions]);
    return classified(net, classifierHead(net, vector, options), options);
  };
