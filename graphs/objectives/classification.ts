import { type ClassifierOptions, classifier, classifierHead } from '../models/transfer.js';
import { type ClassesOptions, type ClassificationLoss, classified } from './classes.js';
import { type ImageOptions, imageInput } from './image.js';
import type { Objective } from './objective.js';

export interface ClassificationOptions extends ImageOptions, ClassifierOptions {
  readonly loss: ClassificationLoss;
}

/** Classification of images: the input `image` as {@link imageInput} says, all else as {@link classified}. */
export const classification =
  (options: ClassificationOptions): Objective =>
  (net) =>
    classified(net, classifier(net, imageInput(net.g, options), options), options);

export interface FeatureClassificationOptions extends ClassesOptions {
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
