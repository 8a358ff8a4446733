import type { GraphBuilder } from '../onnx/builder.js';
import { sizeOf, type Value } from '../onnx/types.js';
import type { NetworkBuilder } from './module.js';

/** A running statistic: its parameter, what an update keeps of it, and what the batch says. */
interface Running {
  readonly name: string;
  readonly old: Value;
  /** Share of the old value that an update keeps (Keras' and ONNX's convention: PyTorch's momentum is 1 − this). */
  readonly momentum: number;
}

/** The next value of a running statistic is old · momentum + now · (1 − momentum). */
export function updateStatistic({ g, statistics }: NetworkBuilder, running: Running, now: Value): void {
  const { name, old, momentum } = running;
  const kept = g.add('Mul', [old, g.scalar(momentum)]);
  const next = g.add('Add', [kept, g.add('Mul', [now, g.scalar(1 - momentum)])]);
  statistics.set(name, { next, momentum });
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
