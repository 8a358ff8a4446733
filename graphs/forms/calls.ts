import { attributesOf } from '../onnx/builder.js';
import type { OperatorName } from '../onnx/ops/index.js';
import { bodiesOf } from '../onnx/registry.js';
import type { Graph, Node, Value } from '../onnx/types.js';
import type { Call, Native } from './form.js';

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

/** Makes the calls that forms see of some of a graph's nodes. @param describe tells type and shape of a node's inputs */
export function callsOf(
  nodes: readonly Node[],
  describe: (name: string) => Value,
  native: Native | null,
): (node: Node, operator: OperatorName) => Call<OperatorName> {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  return (node, operator) => ({
    inputs: node.inputs.map((name) => (name === '' ? null : describe(name))),
    attributes: attributesOf(node, operator) as Call<OperatorName>['attributes'],
    madeBy: node.inputs.map((name) => makers.get(name)),
    native,
  });
}
