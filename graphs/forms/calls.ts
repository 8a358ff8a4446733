import { attributesOf } from '../onnx/builder.js';
import type { OperatorName } from '../onnx/ops/index.js';
import type { Graph, Node } from '../onnx/types.js';
import type { Call, Native } from './form.js';

/** The nodes that some output depends on, in order. */
export function needed(graph: Graph): Node[] {
  const wanted = new Set(graph.outputs.map((v) => v.name));
  const kept = graph.nodes.toReversed().filter((node) => {
    if (!node.outputs.some((name) => wanted.has(name))) return false;
    for (const name of node.inputs) wanted.add(name);
    return true;
  });
  return kept.reverse();
}

/** Makes the calls that forms see of some of a graph's nodes. */
export function callsOf(
  graph: Graph,
  nodes: readonly Node[],
  native: Native | null,
): (node: Node) => Call<OperatorName> {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  return (node) => ({
    inputs: node.inputs.map((name) => (name === '' ? null : graph.values.get(name)!)),
    attributes: attributesOf(node, node.operator as OperatorName) as Call<OperatorName>['attributes'],
    madeBy: node.inputs.map((name) => makers.get(name)),
    native,
  });
}
