/**
 * What nodes give whose inputs are all known: shapes, axes, places, masks and scales that exporters compute step by step from
 * sizes which are fixed at import.
 */
import { GraphError, type Node, type Tensor } from '../onnx/types.js';
import { shapeEvaluations } from './evaluate-shapes.js';
import { valueEvaluations } from './evaluate-values.js';
import { type Evaluations, KnownNode } from './known-node.js';

/** By operator. What is not here stays in the graph. */
const evaluations: Evaluations = { ...valueEvaluations, ...shapeEvaluations };

/** Whether there are inputs with which a node is evaluated. */
export const isEvaluated = ({ domain, operator }: Node): boolean =>
  operator === 'Shape' || operator === 'Size' || (domain === '' && Object.hasOwn(evaluations, operator));

/**
 * The outputs of a node whose inputs are known; `null` for an operator, or a use of it, that is not evaluated.
 * @param inputs `null` for one that is left out
 */
export function evaluate(node: Node, inputs: readonly (Tensor | null)[]): readonly Tensor[] | null {
  if (!isEvaluated(node)) return null;
  const evaluation = evaluations[node.operator];
  if (!evaluation) return null;
  try {
    const result = evaluation(new KnownNode(node, inputs));
    return Array.isArray(result) ? result : [result as Tensor];
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    return null;
  }
}
