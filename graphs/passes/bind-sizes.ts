import { needed, readsOf } from '../forms/calls.js';
import { GraphBuilder } from '../onnx/builder.js';
import { MEANING_DOMAIN } from '../onnx/operator.js';
import { operatorOf } from '../onnx/registry.js';
import { type Graph, GraphError, type Node, type Value } from '../onnx/types.js';

/** Each Relu of a Conv with a bias that nothing else reads, and that Conv. */
function fusible({ outputs, opsets }: Graph, nodes: readonly Node[]): Map<Node, Node> {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const uses = new Map<string, number>();
  for (const name of [...nodes.flatMap(readsOf), ...outputs.map((v) => v.name)])
    uses.set(name, (uses.get(name) ?? 0) + 1);
  const is = (node: Node | undefined, operator: string): node is Node =>
    node !== undefined && operatorOf(node, opsets) === operator;
  const pairs = nodes.flatMap((relu) => {
    const conv = is(relu, 'Relu') ? makers.get(relu.inputs[0]!) : undefined;
    const alone = is(conv, 'Conv') && conv.inputs.length === 3 && uses.get(conv.outputs[0]!) === 1;
    return alone ? [[relu, conv] as const] : [];
  });
  return new Map(pairs);
}

/**
 * An exported graph for inputs of one size, as it was meant before it was lowered: shapes are known, so that forms
 * can be chosen, and every convolution is one node with its ReLU. Inputs and outputs keep names and order.
 * @param shapes of every input, by name
 * @throws GraphError when the sizes do not suit the graph, or it has operators that are not ours
 */
export function specialize(graph: Graph, shapes: Readonly<Record<string, readonly number[]>>): Graph {
  const g = new GraphBuilder(graph.name);
  const nodes = needed(graph);
  const values = new Map<string, Value>();
  for (const { name, type, shape, isSequence } of graph.inputs) {
    // Old files list stored tensors among the inputs.
    if (graph.initializers.has(name)) continue;
    values.set(name, isSequence ? g.sequenceInput(name, type) : g.input(name, type, shapes[name] ?? shape));
  }
  for (const [name, tensor] of graph.initializers) values.set(name, g.initializer(name, tensor));
  const value = (name: string): Value => {
    const known = values.get(name);
    if (!known)
      throw new GraphError(`"${name}" is read in graph "${graph.name}", but nothing before makes it`);
    return known;
  };
  const pairs = fusible(graph, nodes);
  const fused = new Set(pairs.values());
  for (const node of nodes) {
    if (fused.has(node)) continue;
    const conv = pairs.get(node);
    const inputs = (conv ?? node).inputs.map((name) => (name === '' ? null : value(name)));
    for (const name of readsOf(conv ?? node)) value(name);
    const results = conv
      ? g.copy({ ...conv, operator: 'ConvRelu', domain: MEANING_DOMAIN, outputs: node.outputs }, inputs)
      : g.copy(node, inputs, graph.opsets);
    for (const [i, name] of node.outputs.entries()) values.set(name, results[i]!);
  }
  for (const { name } of graph.outputs) g.output(name, value(name));
  return g.build();
}
