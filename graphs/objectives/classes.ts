import {
  binaryCrossEntropy,
  classWeight,
  crossEntropy,
  meanPerSample,
  oneHot,
  weightedMean,
} from '../nn/losses.js';
import type { NetworkBuilder } from '../nn/module.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/types.js';
import type { LossAndOutputs } from './objective.js';
import { sampleWeights } from './sample-weights.js';

export type ClassificationLoss =
  /** Each output is a question of its own, answered by its sigmoid; `positiveWeights`, one an output, count its yes more. */
  | { readonly name: 'binaryCrossEntropy'; readonly positiveWeights: readonly number[] | null }
  /** Outputs are classes of which one is right, softmax. `classWeights`, one a class, count its samples more. */
  | { readonly name: 'crossEntropy'; readonly classWeights: readonly number[] | null };

export interface ClassesOptions {
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
  { loss, batch, outputs }: ClassesOptions,
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
    weights: g.add('Mul', [weights, classWeight(g, classes, loss.classWeights)]),
    probabilities: () => g.add('Softmax', [logits], { axis: 1 }),
  };
}

/**
 * The objective of logits [N,n], whatever they were made of. Inputs: `sample_weight` [N], and `label`: float32 [N,n] in [0, 1]
 * for binary cross-entropy, int32 [N], class numbers from 0, for cross-entropy, where samples of another number do not count. The loss is the samples' mean, weighted by
 * `sample_weight` and their class's weight. An evaluation returns `loss` and `weight` [N], of which it is made, and
 * `probabilities` [N,n].
 */
export function classified({ g }: NetworkBuilder, logits: Value, options: ClassesOptions): LossAndOutputs {
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
