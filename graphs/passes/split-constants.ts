/**
 * A graph in two: one that computes what depends on stored tensors alone, such as rearranged weights, and the rest.
 *
 * - Both keep the names and the order of nodes; together they compute what the graph did.
 * - The rest takes what the first computes as further inputs, behind its own.
 * - The first takes the stored float32 tensors that it reads as inputs, so that their values need not be copied into a model.
 * - Only float32 is handed over: sizes and indices that are computed stay in the rest, as does what makes an output.
 */
import type { Graph, Node, Tensor, Value } from '../onnx/types.js';
import { readsOf } from './needed.js';

export interface SplitGraph {
  readonly constants: Graph;
  /** The inputs of `constants`: stored tensors of the graph. */
  readonly stored: ReadonlyMap<string, Tensor>;
  readonly rest: Graph;
}

/** @param graph with all types and shapes known */
export function splitConstants(graph: Graph): SplitGraph {
  const { initializers, values } = graph;
  const known = new Set(initializers.keys());
  const results = new Set(graph.outputs.map(({ name }) => name));
  const isConstant = (node: Node): boolean => {
    const reads = readsOf(node);
    return (
      reads.length > 0 &&
      reads.every((name) => known.has(name)) &&
      node.outputs.every((name) => values.get(name)?.type === 'float32' && !results.has(name))
    );
  };
  const [constant, rest]: [Node[], Node[]] = [[], []];
  for (const node of graph.nodes) {
    if (!isConstant(node)) rest.push(node);
    else {
      constant.push(node);
      for (const name of node.outputs) known.add(name);
    }
  }

  const readByRest = new Set([...rest.flatMap(readsOf), ...results]);
  const readByConstants = new Set(constant.flatMap(readsOf));
  const handedOver = constant
    .flatMap((node) => node.outputs)
    .filter((name) => readByRest.has(name))
    .map((name) => values.get(name)!);
  const only = (keep: (name: string, tensor: Tensor) => boolean) =>
    new Map([...initializers].filter(([name, tensor]) => keep(name, tensor)));
  const stored = only((name, { type }) => readByConstants.has(name) && type === 'float32');
  const inputs = [...stored].map(([name, { type, shape }]): Value => ({ name, type, shape }));
  return {
    constants: {
      ...graph,
      inputs,
      outputs: handedOver,
      nodes: constant,
      initializers: only((name) => readByConstants.has(name) && !stored.has(name)),
    },
    stored,
    rest: {
      ...graph,
      inputs: [...graph.inputs, ...handedOver],
      nodes: rest,
      initializers: only((name) => readByRest.has(name)),
    },
  };
}
