import { describeNode } from '../onnx/registry.js';
import { type Graph, GraphError, type Node } from '../onnx/types.js';
import { readsOf } from '../passes/needed.js';

/** A list for a message: the first five, and how many more there are. */
export const abridged = (names: readonly string[]): string =>
  names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');

/** @throws GraphError when one name belongs to two values */
function makersOf(nodes: readonly Node[], given: ReadonlySet<string>): Map<string, Node> {
  const makers = new Map<string, Node>();
  for (const node of nodes)
    for (const name of node.outputs) {
      if (name === '') continue;
      if (makers.has(name) || given.has(name))
        throw new GraphError(`two values have the name "${name}": ${describeNode(node)} makes one of them`);
      makers.set(name, node);
    }
  return makers;
}

/**
 * The nodes of a graph, each behind those it reads from; in their old order where that is so already.
 * @param outer names that bodies may read of the graph around them
 * @throws GraphError for a value that is made twice, or by nothing, or that depends on itself
 */
export function sorted({ nodes, inputs, initializers }: Graph, outer: Iterable<string> = []): Node[] {
  const given = new Set([...outer, ...inputs.map(({ name }) => name), ...initializers.keys()]);
  const makers = makersOf(nodes, given);
  const reads = new Map(nodes.map((node) => [node, readsOf(node).filter((name) => !given.has(name))]));
  const missing = nodes.flatMap((node) =>
    reads
      .get(node)!
      .filter((name) => !makers.has(name))
      .map((name) => `"${name}" of ${describeNode(node)}`),
  );
  if (missing.length > 0) throw new GraphError(`nothing makes ${abridged(missing)}`);

  const readers = new Map<Node, Node[]>(nodes.map((node) => [node, []]));
  const waiting = new Map<Node, number>();
  const done = new Set<Node>();
  let inOrder = true;
  for (const node of nodes) {
    const before = new Set(reads.get(node)!.map((name) => makers.get(name)!));
    waiting.set(node, before.size);
    for (const maker of before) {
      readers.get(maker)!.push(node);
      inOrder &&= done.has(maker);
    }
    done.add(node);
  }
  if (inOrder) return [...nodes];
  const order = nodes.filter((node) => waiting.get(node) === 0);
  for (const node of order)
    for (const reader of readers.get(node)!) {
      waiting.set(reader, waiting.get(reader)! - 1);
      if (waiting.get(reader) === 0) order.push(reader);
    }
  if (order.length === nodes.length) return order;
  const stuck = nodes.filter((node) => waiting.get(node)! > 0);
  throw new GraphError(`the graph has a cycle: ${abridged(stuck.map(describeNode))} wait for one another`);
}
