/**
 * A graph built again, node by node, with other types or sizes of its inputs, or with other nodes in place of some.
 *
 * - Inputs and outputs keep their names and order, all values keep their names, and needed nodes their order.
 * - Types and shapes of all values are inferred anew, and are known afterwards as far as the inputs' are.
 * - Every node is of an operator that is known, and written in our version of the operator sets; attributes have their
 *   defaults filled in.
 * - Stored tensors that an old file lists among the inputs are inputs no longer.
 */
import { GraphBuilder } from '../onnx/builder.js';
import { type Graph, GraphError, type Node, type Value } from '../onnx/types.js';
import { needed, readsOf } from './needed.js';

/** What takes a node's place: the values of its outputs; null where it stays. */
export type Replace = (g: GraphBuilder, node: Node, inputs: readonly (Value | null)[]) => Value[] | null;

/** @throws GraphError when an operator is unknown, or the new inputs do not suit the graph */
export function rebuild(graph: Graph, change: (input: Value) => Value, replace?: Replace): Graph {
  const g = new GraphBuilder(graph.name);
  const nodes = needed(graph);
  // What is new must not take the names of what comes later.
  if (replace) g.reserve(nodes.flatMap((node) => node.outputs));
  const values = new Map<string, Value>();
  for (const { name, type, shape, isSequence } of graph.inputs.map(change)) {
    if (graph.initializers.has(name)) continue;
    values.set(name, isSequence ? g.sequenceInput(name, type) : g.input(name, type, shape));
  }
  for (const [name, tensor] of graph.initializers) values.set(name, g.initializer(name, tensor));
  const value = (name: string): Value => {
    const known = values.get(name);
    if (known) return known;
    throw new GraphError(`"${name}" is read in graph "${graph.name}", but nothing before makes it`);
  };
  for (const node of nodes) {
    for (const name of readsOf(node)) value(name);
    const inputs = node.inputs.map((name) => (name === '' ? null : value(name)));
    const results = replace?.(g, node, inputs) ?? g.copy(node, inputs, graph.opsets);
    for (const [i, name] of node.outputs.entries()) values.set(name, results[i]!);
  }
  for (const { name } of graph.outputs) g.output(name, value(name));
  return g.build();
}
