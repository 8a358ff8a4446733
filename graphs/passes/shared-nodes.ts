/**
 * Equal nodes computed once: forms know nothing of each other, and several make the same zeros, deviations and reordered kernels.
 *
 * - Only small results are shared: they stay in memory from the first use to the last.
 * - Nodes that make outputs of the graph, have bodies, or make what a body reads, stay. Bodies are not looked into.
 * - No operator draws random numbers: equal nodes have equal results.
 */
import { bodiesOf } from '../onnx/registry.js';
import { type Graph, type Node, sizeOf, type Value } from '../onnx/types.js';
import { readsOf } from './needed.js';

/** The most values of a result that is shared: 64 KiB of floats. */
const SMALL = 2 ** 14;

const isSmall = (value: Value | undefined): boolean =>
  value !== undefined &&
  !value.shape.some((size) => typeof size === 'string') &&
  sizeOf(value.shape as number[]) <= SMALL;

/** The same for equal nodes only. */
const keyOf = ({ domain, operator, inputs, outputs, attributes }: Node): string =>
  [
    `${domain} ${operator} ${outputs.length}`,
    ...inputs,
    ...Object.entries(attributes).map(([name, { kind, value }]) => `${name} ${kind} ${value}`),
  ].join('\n');

export function withSharedNodes(graph: Graph): Graph {
  const withBodies = graph.nodes.filter((node) => bodiesOf(node).length > 0);
  const named = new Set([...graph.outputs.map(({ name }) => name), ...withBodies.flatMap(readsOf)]);
  const canBeShared = ({ outputs, attributes }: Node) =>
    outputs.every((name) => !named.has(name) && isSmall(graph.values.get(name))) &&
    Object.values(attributes).every(({ kind }) => kind !== 'graph' && kind !== 'tensor');
  const known = new Map<string, Node>();
  const names = new Map<string, string>();
  const nodes = graph.nodes.flatMap((old) => {
    const node = { ...old, inputs: old.inputs.map((name) => names.get(name) ?? name) };
    if (!canBeShared(node)) return [node];
    const key = keyOf(node);
    const same = known.get(key);
    if (!same) {
      known.set(key, node);
      return [node];
    }
    for (const [i, name] of node.outputs.entries()) names.set(name, same.outputs[i]!);
    return [];
  });
  return { ...graph, nodes };
}
