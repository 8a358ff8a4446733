/**
 * Each Conv with a bias and the Relu behind it as one ConvRelu, which some forms compute at no cost.
 *
 * - A Conv is fused only when its Relu is all that reads it, bodies and the graph's outputs included.
 * - All values but those of the fused convolutions keep their names; inputs, outputs and results stay the same.
 * - The operators are ours: graphs of files go through {@link bindSizes} first.
 */
import { INTERNAL_DOMAIN } from '../onnx/operator.js';
import { findOperator } from '../onnx/registry.js';
import type { Graph, Node } from '../onnx/types.js';
import { useCounts } from './needed.js';

/** Each Relu of a Conv with a bias that nothing else reads, and that Conv. */
function fusible(graph: Graph): ReadonlyMap<Node, Node> {
  const { nodes } = graph;
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const uses = useCounts(graph);
  const pairs = nodes.flatMap((relu) => {
    const conv = findOperator(relu) === 'Relu' ? makers.get(relu.inputs[0]!) : undefined;
    const alone = conv && findOperator(conv) === 'Conv' && uses.get(conv.outputs[0]!) === 1;
    return alone && conv.inputs.length === 3 ? [[relu, conv] as const] : [];
  });
  return new Map(pairs);
}

export function fuseConvRelu(graph: Graph): Graph {
  const pairs = fusible(graph);
  const fused = new Set(pairs.values());
  const nodes = graph.nodes
    .filter((node) => !fused.has(node))
    .map((node) => {
      const conv = pairs.get(node);
      return conv
        ? {
            ...node,
            operator: 'ConvRelu',
            domain: INTERNAL_DOMAIN,
            inputs: conv.inputs,
            attributes: conv.attributes,
          }
        : node;
    });
  const gone = new Set([...fused].flatMap(({ outputs }) => outputs));
  return { ...graph, nodes, values: new Map([...graph.values].filter(([name]) => !gone.has(name))) };
}
