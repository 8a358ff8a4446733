import type { GraphBuilder } from '../onnx/builder.js';
import { GraphError, TYPE_CODES, type Value } from '../onnx/types.js';

const axesFrom = (x: Value, first: number): number[] => x.shape.map((_, i) => i).slice(first);

/** Mean over everything but the batch: [N,…] → [N]. */
export const meanPerSample = (g: GraphBuilder, x: Value): Value => g.mean(x, axesFrom(x, 1), 0);

/** Mean of squared differences over each sample: [N,…] × [N,…] → [N]. */
export function squaredErrorPerSample(g: GraphBuilder, prediction: Value, target: Value): Value {
  const difference = g.add('Sub', [prediction, target]);
  return meanPerSample(g, g.add('Mul', [difference, difference]));
}

/** Mean of squared differences over everything: a scalar. */
export function meanSquaredError(g: GraphBuilder, prediction: Value, target: Value): Value {
  const difference = g.add('Sub', [prediction, target]);
  return g.mean(g.add('Mul', [difference, difference]), axesFrom(prediction, 0), 0);
}

/** Σ weight·value / Σ weight of two vectors: a scalar. */
export function weightedMean(g: GraphBuilder, values: Value, weights: Value): Value {
  const sum = g.sum(weights, [0], 0);
  const isNone = g.add('Equal', [sum, g.scalar(0, sum.type)]);
  const divisor = g.add('Where', [isNone, g.scalar(1, sum.type), sum]);
  return g.add('Div', [g.sum(g.add('Mul', [values, weights]), [0], 0), divisor]);
}

/** A vector of one number a class, to multiply along axis 1 of `like`. */
function perClass(g: GraphBuilder, weights: readonly number[], like: Value): Value {
  const classes = like.shape[1];
  if (weights.length !== classes)
    throw new GraphError(`${classes} classes need as many weights, got ${weights.length}`);
  const shape = like.shape.slice(1).map((_, i) => (i === 0 ? classes : 1));
  return g.floats(weights, shape);
}

/**
 * −t·log σ(z) − (1 − t)·log(1 − σ(z)) for each logit z and target t in [0, 1], [N,n,…] → [N,n,…]. By
 * log σ(z) = −softplus(−z), which neither overflows nor loses digits for any z.
 * @param positiveWeights one a class, multiplies the first term
 */
export function binaryCrossEntropy(
  g: GraphBuilder,
  logits: Value,
  target: Value,
  positiveWeights: readonly number[] | null,
): Value {
  const positive = positiveWeights ? g.add('Mul', [target, perClass(g, positiveWeights, target)]) : target;
  const missed = g.add('Mul', [positive, g.add('Softplus', [g.add('Neg', [logits])])]);
  const alarmed = g.add('Mul', [g.add('Sub', [g.scalar(1), target]), g.add('Softplus', [logits])]);
  return g.add('Add', [missed, alarmed]);
}

/** Class numbers [N] as rows of zeros with a one [N,classes]; all zeros for a number that is no class. */
export function oneHot(g: GraphBuilder, labels: Value, classes: number): Value {
  const numbers = g.constant({
    type: 'int32',
    shape: [1, classes],
    data: Int32Array.from({ length: classes }, (_, i) => i),
  });
  return g.add('Cast', [g.add('Equal', [g.add('Unsqueeze', [labels, g.integers([1])]), numbers])], {
    to: TYPE_CODES[g.float],
  });
}

/**
 * −log softmax(z) at the class of each sample, or of each of its positions: logits [N,n,…], one-hot [N,n,…] → [N,…]. Logits of other
 * classes may be −∞.
 */
export function crossEntropy(g: GraphBuilder, logits: Value, classes: Value): Value {
  const likelihood = g.add('LogSoftmax', [logits], { axis: 1 });
  const isClass = g.add('Greater', [classes, g.scalar(0, classes.type)]);
  const chosen = g.add('Where', [isClass, likelihood, g.scalar(0, likelihood.type)]);
  return g.add('Neg', [g.sum(chosen, [1], 0)]);
}

/** The weight of each sample's class, 1 for every class where there are no weights, 0 for a sample of none: one-hot [N,n] → [N]. */
export const classWeight = (g: GraphBuilder, classes: Value, weights: readonly number[] | null): Value =>
  g.sum(weights ? g.add('Mul', [classes, perClass(g, weights, classes)]) : classes, [1], 0);

/** Added to the similarity of a sample with itself, which is none of the choices. */
const EXCLUDED = -1e9;
/** Keeps the length of a feature vector of zeros from being 0. */
const TINY = 1e-12;

/**
 * The contrastive loss of a batch in which samples 2i and 2i + 1 belong together (Chen et al. 2020, NT-Xent):
 * the mean over all samples of −log( e^{p/τ} / (e^{p/τ} + Σ e^{n/τ}) ), where p is the cosine similarity with the
 * partner and n those with all others. features [N,C] → a scalar.
 */
export function contrastiveLoss(g: GraphBuilder, features: Value, temperature: number): Value {
  const [n] = features.shape as [number, number];
  if (n % 2 !== 0) throw new GraphError(`pairs need an even batch, got ${n}`);
  const square = (value: (row: number, column: number) => number) =>
    g.floats(
      Array.from({ length: n * n }, (_, i) => value(Math.floor(i / n), i % n)),
      [n, n],
    );
  const squares = g.sum(g.add('Mul', [features, features]), [1], 1);
  const unit = g.add('Div', [features, g.add('Sqrt', [g.add('Add', [squares, g.scalar(TINY)])])]);
  const cosines = g.add('MatMul', [unit, g.add('Transpose', [unit], { perm: [1, 0] })]);
  const scaled = g.add('Mul', [cosines, g.scalar(1 / temperature)]);
  const choices = g.add('Add', [scaled, square((row, column) => (row === column ? EXCLUDED : 0))]);
  const partners = square((row, column) => (column === (row ^ 1) ? 1 : 0));
  const likelihood = g.sum(g.add('Mul', [g.add('LogSoftmax', [choices], { axis: 1 }), partners]), [1], 0);
  return g.add('Neg', [g.mean(likelihood, [0], 0)]);
}

/** Keeps the quotient near 1 where nothing is there and nothing was found. */
const DICE_SMOOTH = 1;

/** 1 − (2·Σpt + smooth) / (Σp + Σt + smooth), sums over the axes, mean over the classes, which are the last axis then. */
function diceLoss(g: GraphBuilder, overlap: Value, sizes: Value, axes: readonly number[]): Value {
  const smooth = g.scalar(DICE_SMOOTH);
  const twice = g.add('Mul', [g.sum(overlap, axes, 0), g.scalar(2)]);
  const dice = g.add('Div', [g.add('Add', [twice, smooth]), g.add('Add', [g.sum(sizes, axes, 0), smooth])]);
  return g.add('Sub', [g.scalar(1), g.mean(dice, [dice.shape.length - 1], 0)]);
}

/**
 * Soft Dice loss of the whole batch, as if it were one image (Milletari et al. 2016, without squares): probabilities
 * and targets [N,n,…] in [0, 1] → a scalar.
 * @param weights [N], how often each sample counts
 */
export function softDice(g: GraphBuilder, probability: Value, target: Value, weights: Value): Value {
  const along = [weights.shape[0] as number, ...probability.shape.slice(1).map(() => 1)];
  const weight = g.reshape(weights, along);
  const [p, t] = [g.add('Mul', [probability, weight]), g.add('Mul', [target, weight])];
  const over = [0, ...axesFrom(probability, 2)];
  return diceLoss(g, g.add('Mul', [p, target]), g.add('Add', [p, t]), over);
}

/** Soft Dice loss of each sample alone: [N,n,…] → [N]. */
export const softDicePerSample = (g: GraphBuilder, probability: Value, target: Value): Value =>
  diceLoss(
    g,
    g.add('Mul', [probability, target]),
    g.add('Add', [probability, target]),
    axesFrom(probability, 2),
  );
