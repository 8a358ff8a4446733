import { bodiesOf } from '../onnx/registry.js';
import type { Graph } from '../onnx/types.js';
import { inBodies } from './bodies.js';
import { readsOf } from './needed.js';

/**
 * Lets the node that makes an output give it the output's name, where a node after it only renamed it: ONNX Runtime would copy it
 * there. A value that is an output under its own name, or read by the body of a loop or branch, keeps its name. The same
 * for the outputs of bodies.
 */
export function withNamedOutputs(graph: Graph): Graph {
  const { nodes, outputs } = graph;
  const isOutput = new Set(outputs.map(({ name }) => name));
  const made = new Set(nodes.flatMap((node) => node.outputs));
  const captured = new Set(nodes.flatMap((node) => (bodiesOf(node).length > 0 ? readsOf(node) : [])));
  const names = new Map<string, string>();
  const kept = nodes.filter(({ operator, domain, inputs: [from], outputs: [to] }) => {
    if (operator !== 'Identity' || domain !== '' || !isOutput.has(to!)) return true;
    if (!made.has(from!) || isOutput.has(from!) || captured.has(from!) || names.has(from!)) return true;
    names.set(from!, to!);
    return false;
  });
  const renamed = (name: string) => names.get(name) ?? name;
  return {
    ...graph,
    nodes: kept.map((node) => ({
      ...inBodies(node, withNamedOutputs),
      // A node is called after its first output.
      name: renamed(node.name),
      inputs: node.inputs.map(renamed),
      outputs: node.outputs.map(renamed),
    })),
  };
}
