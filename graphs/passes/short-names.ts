/**
 * Short names for all values that nobody outside reads: ONNX Runtime looks values up by name over and over while it prepares a graph,
 * which takes a sixth of the time of a large one.
 *
 * - Inputs and outputs of the graph keep their names; those of bodies are short.
 * - Nodes keep their names: errors and profiles say them.
 */
import type { Graph, Node, Value } from '../onnx/types.js';
import { inBodies } from './bodies.js';

export function withShortNames(graph: Graph): Graph {
  const kept = new Set([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  const names = new Map([...kept, ''].map((name) => [name, name]));
  let count = 0;
  const nameOf = (name: string): string => {
    let short = names.get(name);
    if (short === undefined) {
      do short = (count++).toString(36);
      while (kept.has(short));
      names.set(name, short);
    }
    return short;
  };
  const named = (value: Value): Value => ({ ...value, name: nameOf(value.name) });
  const nodeOf = (node: Node): Node => ({
    ...inBodies(node, renamed),
    inputs: node.inputs.map(nameOf),
    outputs: node.outputs.map(nameOf),
  });
  const renamed = (given: Graph): Graph => ({
    ...given,
    inputs: given.inputs.map(named),
    outputs: given.outputs.map(named),
    nodes: given.nodes.map(nodeOf),
    initializers: new Map([...given.initializers].map(([name, tensor]) => [nameOf(name), tensor])),
    values: new Map([...given.values.values()].map((value) => [nameOf(value.name), named(value)])),
  });
  return renamed(graph);
}
