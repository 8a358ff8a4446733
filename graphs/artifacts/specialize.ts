import { GraphBuilder } from '../onnx/builder.js';
import { MEANING_DOMAIN } from '../onnx/operator.js';
import type { Graph, Node, Value } from '../onnx/types.js';

/** Each Relu of a Conv with a bias that nothing else reads, and that Conv. */
function fusible({ nodes, outputs }: Graph): Map<Node, Node> {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const uses = new Map<string, number>();
  for (const name of [...nodes.flatMap((node) => node.inputs), ...outputs.map((v) => v.name)])
    uses.set(name, (uses.get(name) ?? 0) + 1);
  const pairs = nodes.flatMap((relu) => {
    const conv = relu.operator === 'Relu' ? makers.get(relu.inputs[0]!) : undefined;
    const alone = conv?.operator === 'Conv' && conv.inputs.length === 3 && uses.get(conv.outputs[0]!) === 1;
    return alone ? [[relu, conv] as const] : [];
  });
  return new Map(pairs);
}

/**
 * An exported graph for inputs of one size, as it was meant before it was lowered: shapes are known, so that forms
 * can be chosen, and every convolution is one node with its ReLU.
 * @param shapes of every input, by name
 * @throws GraphError when the sizes do not suit the graph, or it has operators that are not ours
 */
export function specialize(graph: Graph, shapes: Readonly<Record<string, readonly number[]>>): Graph {
  const g = new GraphBuilder(graph.name);
  const values = new Map<string, Value>();
  for (const { name, type, shape } of graph.inputs)
    values.set(name, g.input(name, type, shapes[name] ?? shape));
  for (const [name, tensor] of graph.initializers) values.set(name, g.initializer(name, tensor));
  const pairs = fusible(graph);
  const fused = new Set(pairs.values());
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  for (const node of graph.nodes) {
    if (fused.has(node)) continue;
    const conv = pairs.get(node);
    const inputs = (conv ?? node).inputs.map((name) => (name === '' ? null : values.get(name)!));
    const [name] = node.outputs as [string];
    if (outputs.has(name)) values.set(name, g.output(name, inputs[0]!));
    else {
      const meant = conv ? { ...conv, operator: 'ConvRelu', domain: MEANING_DOMAIN, outputs: [name] } : node;
      for (const [i, value] of g.copy(meant, inputs).entries()) values.set(node.outputs[i]!, value);
    }
  }
  return g.build();
}
