import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/types.js';

/** Mean of squared differences over each sample: [N,…] × [N,…] → [N]. */
export function squaredErrorPerSample(g: GraphBuilder, prediction: Value, target: Value): Value {
  const difference = g.add('Sub', [prediction, target]);
  return g.mean(g.add('Mul', [difference, difference]), prediction.shape.map((_, i) => i).slice(1), 0);
}

/** Mean of squared differences over everything: a scalar. */
export function meanSquaredError(g: GraphBuilder, prediction: Value, target: Value): Value {
  const difference = g.add('Sub', [prediction, target]);
  return g.mean(
    g.add('Mul', [difference, difference]),
    prediction.shape.map((_, i) => i),
    0,
  );
}
