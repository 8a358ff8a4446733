/**
 * Weights and running statistics as the parameters of a network. Exporters merge tensors of equal values, so that weights that
 * were apart become one: those are taken apart again.
 */
import type { Graph, Node, Tensor } from '../onnx/types.js';
import { isVector } from './numbers.js';
import type { StaticGraph } from './static.js';
import { type FoundTensor, findTensors, type Reader } from './weights.js';

/** A tensor of the file that belongs to the network's state. */
export interface ImportedTensor {
  /** In training; that of the file, as far as no other parameter has it. */
  readonly name: string;
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

/** @param file the graph as it is stored */
export function assignParameters(file: Graph, graph: StaticGraph, splits: SplitRule | undefined): Assigned {
  const sources = aliasesOf(graph.nodes, file);
  const nodes = graph.nodes.filter(
    ({ outputs }) => !(sources.has(outputs[0]!) && !file.initializers.has(outputs[0]!)),
  );
  const found = findTensors({ ...graph, nodes }, new Set(sources.keys()));
  const inFile = new Map(file.nodes.map((node) => [node.outputs[0], node]));
  // What was an If or a function in the file cannot be given other inputs there.
  const canRewire = ({ node, input }: Reader) =>
    inFile.get(node.outputs[0])?.inputs[input] === node.inputs[input];

  const trained = new Map(found.map(({ name, readers }) => [name, new Map(readers.map((r) => [key(r), r]))]));
  const isRead = new Set<string>();
  for (const node of nodes)
    for (const [input, name] of node.inputs.entries())
      if (!isOfSizes(node) && !trained.get(name)?.has(key({ node, input }))) isRead.add(name);

  const tensors: ImportedTensor[] = [];
  const split: Assigned['split'][number][] = [];
  const shared: MergedTensor[] = [];
  const rewired = new Map<string, string>();
  const names = new Set([...graph.constants.keys(), ...graph.values.keys()]);
  const freeName = (wanted: string): string => {
    let name = wanted;
    for (let i = 2; names.has(name); i++) name = `${wanted}_${i}`;
    names.add(name);
    return name;
  };
  const add = (name: string, member: FoundTensor, readers: readonly Reader[]) => {
    const source = sources.get(member.name)!;
    for (const reader of readers) rewired.set(key(reader), name);
    tensors.push({
      name,
      source,
      shape: graph.constants.get(source)!.shape,
      role: member.role,
      operator: member.operator,
      readers: readers.map(({ node, input }) => ({ node: node.outputs[0]!, input })),
    });
    return name;
  };

  const bySource = new Map<string, FoundTensor[]>();
  for (const member of found) {
    const source = sources.get(member.name)!;
    bySource.set(source, [...(bySource.get(source) ?? []), member]);
  }
  for (const [source, members] of bySource) {
    const { shape } = graph.constants.get(source) as Tensor;
    const readers = members.flatMap((member) => member.readers);
    const merged = { source, shape, uses: readers.length };
    const isConstantToo = members.some(({ name }) => isRead.has(name));
    const alone = readers.length === 1 && !isConstantToo;
    const apart = alone || ((splits?.(source, shape) ?? isVector(shape)) && readers.every(canRewire));
    if (!apart) {
      add(source, members[0]!, readers);
      shared.push(merged);
      continue;
    }
    const own = members.flatMap((member) =>
      member.readers.map((reader, i) => {
        const free = i === 0 && !isRead.has(member.name);
        const { name, outputs } = reader.node;
        return add(free ? member.name : freeName(`${member.name}@${name || outputs[0]}`), member, [reader]);
      }),
    );
    if (!alone) split.push({ ...merged, names: own });
  }
  const renamed = nodes.map((node) => {
    const inputs = node.inputs.map((name, input) => rewired.get(key({ node, input })) ?? name);
    return inputs.some((name, i) => name !== node.inputs[i]) ? { ...node, inputs } : node;
  });
  return { tensors, split, shared, nodes: renamed };
}

/** Reads are told apart by the value that the node makes. */
const key = ({ node, input }: Reader): string => `${input}:${node.outputs.find((name) => name !== '')}`;
