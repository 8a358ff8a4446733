/**
 * Weights and running statistics as the parameters of a network. Exporters merge tensors of equal values, so that weights that
 * were apart become one: those are taken apart again.
 */
import { grouped } from '../onnx/grouped.js';
import { type Graph, GraphError, type Node, type Tensor } from '../onnx/types.js';
import { firstMade } from './makers.js';
import { freeName, parameterName } from './names.js';
import { isVector } from './numbers.js';
import type { StaticGraph } from './static.js';
import { type FoundTensor, findTensors, type Reader } from './weights.js';

/** A tensor of the file that belongs to the network's state. */
export interface ImportedTensor {
  /** In training. */
  readonly name: string;
  /** In the file that is written. */
  readonly storedName: string;
  /** The tensor of the file that it begins as. */
  readonly source: string;
  readonly shape: readonly number[];
  /** `statistic`: a running mean or variance. */
  readonly role: FoundTensor['role'];
  /** The operator that it is a weight of. */
  readonly operator: string;
  /** Nodes that read it, by their first outputs, and at which input. */
  readonly readers: readonly { readonly node: string; readonly input: number }[];
}

/** A stored tensor that stands for several parameters, or for one that is used several times. */
export interface MergedTensor {
  readonly source: string;
  readonly shape: readonly number[];
  /** How often it is read as a weight. */
  readonly uses: number;
}

/** Decides, by the name in the file and the shape, whether the uses of one tensor are weights of their own. */
export type SplitRule = (name: string, shape: readonly number[]) => boolean;

export interface Assigned {
  readonly tensors: readonly ImportedTensor[];
  /** Taken apart: each use is a parameter. */
  readonly split: readonly (MergedTensor & { readonly names: readonly string[] })[];
  /** Kept as one parameter. */
  readonly shared: readonly MergedTensor[];
  /** Weights inside a function or a branch of the file, which stay as they are. */
  readonly fixed: readonly string[];
  /** All nodes, reading parameters by their names. */
  readonly nodes: readonly Node[];
}

/** A tensor's values are nothing to it. */
export const isOfSizes = ({ operator }: Node) => operator === 'Shape' || operator === 'Size';

/** Names that stand for the tensors of the file: their own, and those that an Identity of the file gives them. */
function aliasesOf(nodes: readonly Node[], file: Graph): Map<string, string> {
  const sources = new Map(replaceable(file).map((name) => [name, name]));
  const identities = new Set(file.nodes.filter((n) => n.operator === 'Identity').map((n) => n.outputs[0]));
  for (const { inputs, outputs } of nodes) {
    const source = sources.get(inputs[0] ?? '');
    if (source !== undefined && identities.has(outputs[0])) sources.set(outputs[0]!, source);
  }
  return sources;
}

/** Tensors that can be replaced in the file: initialisers, and what Constant nodes hold. */
const replaceable = ({ initializers, nodes }: Graph): string[] => [
  ...initializers.keys(),
  ...nodes.filter((n) => n.operator === 'Constant' && n.domain === '').map((n) => n.outputs[0]!),
];

/** One parameter to be: a tensor of the file, as some of its readers see it. */
interface Part {
  readonly storedName: string;
  readonly source: string;
  readonly of: FoundTensor;
  readonly readers: readonly Reader[];
}

/** Reads are told apart by the value that the node makes. */
const key = ({ node, input }: Reader): string => `${input}:${firstMade(node)}`;

/** Names whose values are read otherwise than as weights. */
function readOtherwise(nodes: readonly Node[], found: readonly FoundTensor[]): Set<string> {
  const known = new Set(found.flatMap(({ readers }) => readers.map(key)));
  const names = nodes.flatMap((node) =>
    isOfSizes(node) ? [] : node.inputs.filter((_, input) => !known.has(key({ node, input }))),
  );
  return new Set(names);
}

/** One part a reader: the first has the tensor's name, unless another part has it or it is read as something else too. */
const apart = (
  { source, of }: Pick<Part, 'source' | 'of'>,
  others: ReadonlySet<string>,
  taken: Set<string>,
  named: Set<string>,
): Part[] =>
  of.readers.map((reader) => {
    const { name } = reader.node;
    const isFree = !named.has(of.name) && !others.has(of.name);
    const storedName = isFree ? of.name : freeName(taken, `${of.name}@${name || firstMade(reader.node)}`);
    named.add(storedName);
    return { storedName, source, of, readers: [reader] };
  });

/** @param file the graph as it is stored */
export function assignParameters(file: Graph, graph: StaticGraph, splits: SplitRule | undefined): Assigned {
  const sources = aliasesOf(graph.nodes, file);
  const nodes = graph.nodes.filter(
    ({ outputs }) => !(sources.has(outputs[0]!) && !file.initializers.has(outputs[0]!)),
  );
  const { found, fixed } = findTensors({ ...graph, nodes }, new Set(sources.keys()));
  const others = readOtherwise(nodes, found);
  const inFile = new Map(file.nodes.map((node) => [firstMade(node), node]));
  // What was inside an If or a function of the file cannot be given other inputs there.
  const canRewire = ({ node, input }: Reader) =>
    inFile.get(firstMade(node))?.inputs[input] === node.inputs[input];

  const parts: Part[] = [];
  const split: Assigned['split'][number][] = [];
  const shared: MergedTensor[] = [];
  const taken = new Set([...graph.constants.keys(), ...graph.values.keys()]);
  const named = new Set<string>();
  for (const [source, members] of grouped(found, ({ name }) => sources.get(name)!)) {
    const { shape } = graph.constants.get(source) as Tensor;
    const readers = members.flatMap((member) => member.readers);
    const merged = { source, shape, uses: readers.length };
    const isMerged = readers.length > 1 || members.some(({ name }) => others.has(name));
    const hasStatistics = members.some(({ role }) => role === 'statistic');
    const isSplit = hasStatistics || (splits?.(source, shape) ?? isVector(shape));
    if (isMerged && !(isSplit && readers.every(canRewire))) {
      if (hasStatistics)
        throw new GraphError(
          `"${source}" is the running mean or variance of a layer, and something else, inside a function or branch of the file, where it cannot be taken apart: export the model without these`,
        );
      parts.push({ storedName: source, source, of: members[0]!, readers });
      if (readers.length > 1) shared.push(merged);
      continue;
    }
    const own = members.flatMap((of) => apart({ source, of }, others, taken, named));
    parts.push(...own);
    if (isMerged) split.push({ ...merged, names: own.map(({ storedName }) => parameterName(storedName)) });
  }

  const rewired = new Map(
    parts.flatMap(({ storedName, readers }) =>
      readers.map((r) => [key(r), parameterName(storedName)] as const),
    ),
  );
  const tensors = parts.map(({ storedName, source, of: { role, operator }, readers }) => ({
    name: parameterName(storedName),
    storedName,
    source,
    shape: graph.constants.get(source)!.shape,
    role,
    operator,
    readers: readers.map(({ node, input }) => ({ node: firstMade(node), input })),
  }));
  // What is shared is read by all as the one parameter that it is.
  const kept = new Set(parts.flatMap(({ storedName, source }) => (storedName === source ? [source] : [])));
  const asParameter = (name: string) => {
    const source = sources.get(name);
    return source !== undefined && kept.has(source) ? parameterName(source) : name;
  };
  const renamed = nodes.map((node) => {
    const inputs = node.inputs.map((name, input) => rewired.get(key({ node, input })) ?? asParameter(name));
    return inputs.some((name, i) => name !== node.inputs[i]) ? { ...node, inputs } : node;
  });
  return { tensors, split, shared, fixed, nodes: renamed };
}
