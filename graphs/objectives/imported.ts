import type { ImportedModel } from '../imported/import-model.js';
import { checkAlongClasses, endingOf, withoutActivation } from '../imported/makers.js';
import { inputName } from '../imported/names.js';
import { importedLayers, networkInputs } from '../imported/network.js';
import { squaredErrorPerSample, weightedMean } from '../nn/losses.js';
import type { NetworkBuilder } from '../nn/module.js';
import { formatShape, GraphError, knownShape, type Value } from '../onnx/types.js';
import { type ClassificationLoss, classified } from './classes.js';
import { type SegmentationLoss, type SegmentationLosses, segmented } from './masks.js';
import type { LossAndOutputs, Objective } from './objective.js';
import { sampleWeights } from './sample-weights.js';

/** What makes the output of a network better: see {@link importedObjective}. */
export type OutputLoss =
  | { readonly name: 'meanSquaredError' }
  | { readonly name: 'dice' }
  | { readonly name: 'binaryCrossEntropy'; readonly positiveWeights?: readonly number[] | null }
  /** `classWeights` are for an output [N,n]. */
  | { readonly name: 'crossEntropy'; readonly classWeights?: readonly number[] | null };

/** A loss of the caller's own: adds what it needs to `net.g`. @param outputs of the network, by name */
export type OwnLoss = (net: NetworkBuilder, outputs: Readonly<Record<string, Value>>) => LossAndOutputs;

export interface ImportedTask {
  /** The output, or any value inside the network, that the loss is about; the first output without it. */
  readonly output?: string | undefined;
  /** Of several the sum, for maps; or a graph of the caller's own, which gets all outputs and `output`. */
  readonly loss: OutputLoss | readonly OutputLoss[] | OwnLoss;
}

/** Losses of logits, and the operators whose results are no logits any more. */
const ACTIVATIONS: Readonly<Record<string, readonly string[]>> = {
  crossEntropy: ['Softmax'],
  binaryCrossEntropy: ['Sigmoid'],
  dice: ['Sigmoid', 'Softmax'],
};

interface Logits {
  /** The network with its output as logits. */
  readonly network: ImportedModel;
  /** What the network makes of them itself. */
  readonly activation: string | null;
}

/** The logits of an output: exported classifiers often end in the Softmax or Sigmoid that a loss brings itself. */
function logitsOf(model: ImportedModel, output: string, losses: readonly OutputLoss[]): Logits {
  const ending = endingOf(model.graph, output);
  const operator = ending?.maker.operator ?? '';
  const isExpected = losses.length > 0 && losses.every(({ name }) => ACTIVATIONS[name]?.includes(operator));
  if (!ending || !isExpected) return { network: model, activation: null };
  checkAlongClasses(ending, model.graph);
  return { network: withoutActivation(model, ending.maker), activation: operator };
}

/** Mean squared error of an output [N,…] against the input `target` of its shape. */
function regressed({ g }: NetworkBuilder, prediction: Value): LossAndOutputs {
  if (prediction.shape.length === 0)
    throw new GraphError(`the output "${prediction.name}" is one number, which has no samples to compare`);
  const target = g.input('target', g.float, prediction.shape);
  const weights = sampleWeights(g, knownShape(prediction.shape, 'a loss')[0]!);
  const losses = () => g.scope('loss', () => squaredErrorPerSample(g, prediction, target));
  return {
    loss: () => weightedMean(g, losses(), weights),
    outputs: () => ({ loss: losses(), weight: weights, prediction }),
  };
}

function classificationLoss(loss: OutputLoss): ClassificationLoss {
  if (loss.name === 'crossEntropy') return { name: loss.name, classWeights: loss.classWeights ?? null };
  if (loss.name === 'binaryCrossEntropy')
    return { name: loss.name, positiveWeights: loss.positiveWeights ?? null };
  throw new GraphError(`the loss "${loss.name}" needs a map, an output [N,classes,…]`);
}

function segmentationLoss(loss: OutputLoss): SegmentationLoss {
  if (loss.name === 'meanSquaredError')
    throw new GraphError(`the loss "${loss.name}" cannot be added to another`);
  if (loss.name === 'crossEntropy' && loss.classWeights)
    throw new GraphError('classWeights are for an output [N,classes]');
  return loss.name === 'binaryCrossEntropy'
    ? { name: loss.name, positiveWeights: loss.positiveWeights ?? null }
    : { name: loss.name };
}

function lossOf(
  net: NetworkBuilder,
  output: Value,
  losses: readonly OutputLoss[],
  activation: string | null,
): LossAndOutputs {
  const [first, ...others] = losses;
  if (!first) throw new GraphError('a task needs a loss');
  const { shape } = output;
  if (first.name === 'meanSquaredError' && others.length === 0) return regressed(net, output);
  if (shape.length === 2 && others.length === 0)
    return classified(net, output, {
      batch: shape[0] as number,
      outputs: shape[1] as number,
      loss: classificationLoss(first),
    });
  if (shape.length > 2)
    return segmented(
      net,
      output,
      losses.map(segmentationLoss) as unknown as SegmentationLosses,
      activation === 'Softmax',
    );
  const names = losses.map(({ name }) => name).join(' + ');
  throw new GraphError(
    `the output "${output.name}" is ${formatShape(shape)}, which the loss ${names} does not suit`,
  );
}

/**
 * The objective of an imported network. Its inputs are those of the network, by their names (`model.` is put before names that
 * training itself has, such as `label`), `sample_weight` [N], how much each sample counts, and what the loss compares with:
 *
 * - `meanSquaredError`: `target`, of the output's shape.
 * - `crossEntropy` of [N,n]: `label` int32 [N], class numbers from 0. Of maps [N,n,…]: `mask` uint8 [N,n,…] of zeros and ones.
 * - `binaryCrossEntropy` of [N,n]: `label` [N,n] in [0, 1]. Of maps: `mask`, as above; classes may overlap.
 * - `dice`, of maps: `mask`.
 *
 * All but the first take logits: of an output that a Softmax or Sigmoid makes they take what that is given, in the output's shape. An evaluation returns
 * `loss` [N], `weight` [N], and `probabilities` or, for `meanSquaredError`, `prediction`.
 *
 * Networks with Dropout have the input `dropout_seed` in training: an int64 scalar, at least 0, another one for every batch.
 * @throws GraphError when the network has no such output, or the loss does not suit it
 */
export const importedObjective =
  (model: ImportedModel, { output = model.outputs[0]!.name, loss }: ImportedTask): Objective =>
  (net) => {
    const inputs = networkInputs(net.g, model.inputs, inputName);
    if (typeof loss === 'function') {
      const wanted = new Set([...model.outputs.map(({ name }) => name), output]);
      return loss(net, Object.fromEntries(importedLayers(net, model, inputs, [...wanted])));
    }
    const losses = Array.isArray(loss) ? (loss as readonly OutputLoss[]) : [loss as OutputLoss];
    const { network, activation } = logitsOf(model, output, losses);
    return lossOf(net, importedLayers(net, network, inputs, [output]).get(output)!, losses, activation);
  };
