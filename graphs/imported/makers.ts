import { type Graph, GraphError, type Node } from '../onnx/types.js';

/** The first value that a node makes, by which it is told: outputs that nothing reads may have no names. */
export const firstMade = ({ outputs }: { readonly outputs: readonly string[] }): string =>
  outputs.find((name) => name !== '') ?? '';

/** Finds the node that makes a value. Where values only go by another name, it is the one that makes them under the first. */
export function makersOf({ nodes }: Pick<Graph, 'nodes'>): (value: string) => Node | undefined {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  return (value) => {
    let maker = makers.get(value);
    while (maker?.operator === 'Identity') maker = makers.get(maker.inputs[0]!);
    return maker;
  };
}

/** The first version of the standard in which a Softmax is along one axis; before, it is over all axes from one on. */
const ALONG_ONE_AXIS = 13;

/**
 * A value is made by an activation that a loss brings itself, along axis 1: that of classes.
 * @throws GraphError when it is along another
 */
export function checkAlongClasses({ operator, attributes: { axis }, outputs }: Node, graph: Graph): void {
  if (operator === 'Sigmoid') return;
  const [name] = outputs as [string];
  const rank = graph.values.get(name)!.shape.length;
  const isOld = (graph.opsets?.[''] ?? ALONG_ONE_AXIS) < ALONG_ONE_AXIS;
  const given = axis?.kind === 'int' ? axis.value : isOld ? 1 : -1;
  const along = given < 0 ? given + rank : given;
  if (along === 1 && (!isOld || rank === 2)) return;
  throw new GraphError(
    `the ${operator} of "${name}" is ${isOld ? `over all axes from ${along} on` : `along axis ${along}`}; a loss takes classes along axis 1, [N,classes,…]`,
  );
}
