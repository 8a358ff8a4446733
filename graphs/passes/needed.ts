/**
 * What of a graph is needed.
 *
 * - A node stays when an output depends on it, directly or through the body of a loop or branch.
 * - Nodes keep their order.
 */
import { bodiesOf } from '../onnx/registry.js';
import type { Graph, Node } from '../onnx/types.js';

/** What a body reads of the graph around it. */
function captured({ nodes, inputs, outputs, initializers }: Graph): string[] {
  const own = new Set([
    ...initializers.keys(),
    ...inputs.map(({ name }) => name),
    ...nodes.flatMap((node) => node.outputs),
  ]);
  const read = [...nodes.flatMap(readsOf), ...outputs.map(({ name }) => name)];
  return read.filter((name) => !own.has(name));
}

/** Names of all values that a node reads, in its bodies too. */
export const readsOf = (node: Node): string[] => [
  ...node.inputs.filter((name) => name !== ''),
  ...bodiesOf(node).flatMap(captured),
];

/** The nodes that some output depends on, in order. */
export function needed(graph: Graph): Node[] {
  const wanted = new Set(graph.outputs.map((v) => v.name));
  const kept = graph.nodes.toReversed().filter((node) => {
    if (!node.outputs.some((name) => wanted.has(name))) return false;
    for (const name of readsOf(node)) wanted.add(name);
    return true;
  });
  return kept.reverse();
}

/** How often each value is read, by nodes, in bodies, and as an output of the graph. */
export function useCounts({ nodes, outputs }: Graph): Map<string, number> {
  const uses = new Map<string, number>();
  for (const name of [...nodes.flatMap(readsOf), ...outputs.map((v) => v.name)])
    uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
}
