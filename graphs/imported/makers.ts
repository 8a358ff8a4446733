import { formatShape, type Graph, GraphError, type Node, sizeOf, TYPE_CODES } from '../onnx/types.js';

/** The first value that a node makes, by which it is told: outputs that nothing reads may have no names. */
export const firstMade = ({ outputs }: { readonly outputs: readonly string[] }): string =>
  outputs.find((name) => name !== '') ?? '';

const FLOATS: readonly number[] = [TYPE_CODES.float32, TYPE_CODES.float64];

/** A cast to the type that a network computes in: float64 is float32 in training, and half precision is so since the import. */
export const isCastToFloat = ({ operator, attributes: { to } }: Node): boolean =>
  operator === 'Cast' && to?.kind === 'int' && FLOATS.includes(to.value);

const isRenaming = (node: Node) => node.operator === 'Identity' || isCastToFloat(node);

const RESHAPING: ReadonlySet<string> = new Set([
  ...['Flatten', 'Reshape', 'Squeeze', 'Transpose', 'Unsqueeze'],
]);

const makersByName = ({ nodes }: Pick<Graph, 'nodes'>) =>
  new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));

/** Finds the node that makes a value. Where values only go by another name or type, it is the one that makes them first. */
export function makersOf(graph: Pick<Graph, 'nodes'>): (value: string) => Node | undefined {
  const makers = makersByName(graph);
  return (value) => {
    let maker = makers.get(value);
    while (maker && isRenaming(maker)) maker = makers.get(maker.inputs[0]!);
    return maker;
  };
}

/** What makes the values of an output. */
export interface Ending {
  readonly maker: Node;
  /** Nodes behind it that give its values another name, type or shape, in their order. */
  readonly behind: readonly Node[];
}

/** Finds what makes the values of an output, whatever their shape there; undefined for those of an input. */
export function endingOf(graph: Pick<Graph, 'nodes'>, output: string): Ending | undefined {
  const makers = makersByName(graph);
  const behind: Node[] = [];
  let maker = makers.get(output);
  while (maker && (isRenaming(maker) || RESHAPING.has(maker.operator))) {
    behind.unshift(maker);
    maker = makers.get(maker.inputs[0]!);
  }
  return maker && { maker, behind };
}

/** A network in which an activation gives what it is given: its output is the logits, in the shape that it had. */
export const withoutActivation = <T extends { readonly graph: Graph }>(network: T, activation: Node): T => ({
  ...network,
  graph: {
    ...network.graph,
    nodes: network.graph.nodes.map((node) =>
      node === activation ? { ...node, operator: 'Identity', attributes: {} } : node,
    ),
  },
});

/** The first version of the standard in which a Softmax is along one axis; before, it is over all axes from one on. */
const ALONG_ONE_AXIS = 13;

/** Where the classes of one position are in the values of a tensor: so many, so many values apart. */
interface Classes {
  readonly count: number;
  readonly apart: number;
}

/** The axis of classes; -1 where it is none. */
const axisOf = (shape: readonly number[], { count, apart }: Classes): number =>
  shape.findIndex((size, i) => size === count && sizeOf(shape.slice(i + 1)) === apart);

/** Where classes are behind a node that gives values another name, type or shape. */
function moved(
  classes: Classes,
  { operator, attributes: { perm } }: Node,
  shape: readonly number[],
): Classes {
  if (operator !== 'Transpose') return classes;
  const axis = axisOf(shape, classes);
  const order = perm?.kind === 'ints' ? perm.value : [...shape.keys()].reverse();
  const behind = order.slice(order.indexOf(axis) + 1);
  return { ...classes, apart: sizeOf(behind.map((from) => shape[from]!)) };
}

/**
 * An activation that a loss brings itself is along axis 1 of the output: that of classes.
 * @throws GraphError when it is along another
 */
export function checkAlongClasses({ maker, behind }: Ending, graph: Graph): void {
  const {
    operator,
    attributes: { axis },
  } = maker;
  if (operator === 'Sigmoid') return;
  const shapeOf = (name: string) => graph.values.get(name)!.shape as readonly number[];
  const [name] = maker.outputs as [string];
  const shape = shapeOf(name);
  const isOld = (graph.opsets?.[''] ?? ALONG_ONE_AXIS) < ALONG_ONE_AXIS;
  const given = axis?.kind === 'int' ? axis.value : isOld ? 1 : -1;
  const along = given < 0 ? given + shape.length : given;
  const made: Classes = isOld
    ? { count: sizeOf(shape.slice(along)), apart: 1 }
    : { count: shape[along]!, apart: sizeOf(shape.slice(along + 1)) };
  const { count, apart } = behind.reduce(
    (classes, node) => moved(classes, node, shapeOf(node.inputs[0]!)),
    made,
  );
  const output = shapeOf(behind.at(-1)?.outputs[0] ?? name);
  if (output[1] === count && sizeOf(output.slice(2)) === apart) return;
  throw new GraphError(
    `the ${operator} of "${name}" is ${isOld ? `over all axes from ${along} on` : `along axis ${along}`} of ${formatShape(shape)}, and the output is ${formatShape(output)}; a loss takes classes along axis 1, [N,classes,…]`,
  );
}
