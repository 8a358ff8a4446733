import type { Graph, Node } from '../onnx/types.js';

/** Finds the node that makes a value. Where values only go by another name, it is the one that makes them under the first. */
export function makersOf({ nodes }: Pick<Graph, 'nodes'>): (value: string) => Node | undefined {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  return (value) => {
    let maker = makers.get(value);
    while (maker?.operator === 'Identity') maker = makers.get(maker.inputs[0]!);
    return maker;
  };
}
