import type { GraphBuilder } from '../onnx/builder.js';
import { sizeOf, type Value } from '../onnx/types.js';

/** The next value of running statistics, `old · momentum + now · (1 − momentum)`. @param momentum one for all, or one for each row */
export function nextStatistics(
  g: GraphBuilder,
  old: Value,
  now: Value,
  momentum: number | readonly number[],
): Value {
  const factors = (of: (momentum: number) => number) =>
    typeof momentum === 'number' ? g.scalar(of(momentum)) : g.floats(momentum.map(of), [momentum.length, 1]);
  const kept = g.add('Mul', [old, factors((m) => m)]);
  return g.add('Add', [kept, g.add('Mul', [now, factors((m) => 1 - m)])]);
}

/** The variance [C] of x [N,C,…] as an estimate, divided by count − 1, which running variances take in Keras and PyTorch. */
export function unbiased(g: GraphBuilder, variance: Value, x: Value): Value {
  const count = sizeOf(x.shape as number[]) / (x.shape[1] as number);
  return g.add('Mul', [variance, g.scalar(count / Math.max(1, count - 1))]);
}

/** x [N,C,…] normalised by fixed statistics [C]: scale · (x − mean) / √(variance + epsilon) + bias, at least 0 with `relu`. */
export function normaliseByStatistics(
  g: GraphBuilder,
  x: Value,
  [scale, bias, mean, variance]: readonly [scale: Value, bias: Value, mean: Value, variance: Value],
  { epsilon, relu }: { readonly epsilon: number; readonly relu: 0 | 1 },
): Value {
  const deviation = g.add('Sqrt', [g.add('Add', [variance, g.scalar(epsilon)])]);
  const slope = g.add('Div', [scale, deviation]);
  const offset = g.add('Sub', [bias, g.add('Mul', [mean, slope])]);
  return g.add('ChannelAffine', [x, slope, offset], { relu });
}
