import { GraphError, knownShape, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';

/** log-probabilities [N,C,…], classes [N,…], weights of the classes [C] → −weight · log-probability of the class, reduced. */
function negativeLogLikelihood(n: StandardNode, logits: Value, target: Value, weight: Value | null): Value {
  const { f, g } = n;
  const classes = g.add('Cast', [target], { to: 7 });
  const isIgnored = n.has('ignore_index') && f.equal(classes, g.scalar(n.int('ignore_index', 0), 'int64'));
  const named = isIgnored ? f.where(isIgnored, g.scalar(0, 'int64'), classes) : classes;
  const picked = g.add('GatherElements', [logits, g.add('Unsqueeze', [named, g.integers([1])])], { axis: 1 });
  const each = f.neg(g.reshape(picked, knownShape(target.shape, 'a loss')));
  // What stands in for an ignored class may be infinite.
  const losses = isIgnored ? f.where(isIgnored, 0, each) : each;
  const given = weight && g.add('Gather', [weight, named]);
  const one = g.scalar(1, logits.type);
  const weights = isIgnored ? f.where(isIgnored, 0, given ?? one) : given;
  const weighted = weights ? f.mul(losses, weights) : losses;
  const axes = losses.shape.map((_, i) => i);
  const reduction = n.string('reduction', 'mean');
  if (reduction === 'none') return weighted;
  const sum = g.sum(weighted, axes, 0);
  if (reduction === 'sum') return sum;
  if (reduction !== 'mean') throw new GraphError(`reduction "${reduction}" is unknown`);
  if (!weights) return g.mean(weighted, axes, 0);
  const total = g.sum(weights, axes, 0);
  // 0 where everything is ignored, not NaN.
  return f.div(sum, f.where(f.equal(total, 0), g.scalar(1, total.type), total));
}

export const losses: Translations = {
  NegativeLogLikelihoodLoss: (n) => negativeLogLikelihood(n, n.input(0), n.input(1), n.optional(2)),
  SoftmaxCrossEntropyLoss: (n) => {
    const logits = n.g.add('LogSoftmax', [n.input(0)], { axis: 1 });
    return [negativeLogLikelihood(n, logits, n.input(1), n.optional(2)), logits];
  },
};
