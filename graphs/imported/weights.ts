/**
 * Which stored tensors are weights. Their place says it, never their type: the kernel of a convolution is one, the scales of a
 * Resize are not.
 */
import type { Node } from '../onnx/types.js';
import { isFloat, isVector, type Numbers, numbersOf } from './numbers.js';
import type { StaticGraph } from './static.js';

/** Where a stored tensor is read. */
export interface Reader {
  readonly node: Node;
  readonly input: number;
}

/** A stored tensor that training changes. */
export interface FoundTensor {
  readonly name: string;
  /** `statistic`: a running mean or variance. */
  readonly role: 'weight' | 'statistic';
  /** What it is to the network: the operator that it is a weight of. */
  readonly operator: string;
  readonly readers: readonly Reader[];
}

/** By operator, whether an input is one of some. */
const places = (inputs: Readonly<Record<string, readonly number[] | 'all'>>) => {
  const byOperator = new Map(Object.entries(inputs));
  return ({ operator, domain }: Node, input: number): boolean => {
    const listed = domain === '' ? byOperator.get(operator) : undefined;
    return listed === 'all' || listed?.includes(input) === true;
  };
};

const isWeight = places({
  BatchNormalization: [1, 2],
  CausalConvWithState: [1, 2],
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  DeformConv: [1, 3],
  Einsum: 'all',
  GRU: [1, 2, 3],
  Gather: [0],
  Gemm: [0, 1, 2],
  GroupNormalization: [1, 2],
  InstanceNormalization: [1, 2],
  LSTM: [1, 2, 3, 7],
  LayerNormalization: [1, 2],
  MatMul: [0, 1],
  PRelu: [1],
  RMSNormalization: [1],
  RNN: [1, 2, 3],
});
const isStatistic = places({ BatchNormalization: [3, 4] });
/** Weights where the other inputs come from a layer: biases, scales, embeddings of positions, class tokens. */
const isWeightBehindLayers = places({ Add: [0, 1], Mul: [0, 1], Concat: 'all' });
/** Operators that join several tensors of values; of all others only the first input holds values. */
const JOINING: ReadonlySet<string> = new Set([
  ...['Add', 'Concat', 'Div', 'Einsum', 'Gemm', 'MatMul', 'Mul', 'Pow', 'Sub', 'Where'],
]);

/** Zeros and large negative numbers: what is added to scores to hide some of them. */
const isMask = (values: Numbers) => values.some((v) => v <= -50) && values.every((v) => v === 0 || v <= -50);

/** Names that exporters give to constants of their own. */
const IS_NAMELESS = /^(val_\d+|onnx::.*|_?constant.*|.*\/Constant(_\d+)?_output_0)$/i;
/** Ones and zeros, which stand for a scale and bias that a normalisation does not have. */
const isAbsentAffine = (name: string, values: Numbers) =>
  IS_NAMELESS.test(name) && (values.every((v) => v === 1) || values.every((v) => v === 0));

const NORMALISATIONS: ReadonlySet<string> = new Set([
  ...[
    'BatchNormalization',
    'InstanceNormalization',
    'LayerNormalization',
    'GroupNormalization',
    'RMSNormalization',
  ],
]);

/** Operators of which one operand may be a mere number. */
const FACTORS: ReadonlySet<string> = new Set(['Mul', 'Div', 'Pow', 'Sub']);

class Search {
  readonly #makers = new Map<string, Node>();
  /** Values that depend on an input of the network. */
  readonly #active: Set<string>;
  /** Values that depend on a weight. */
  readonly #deep = new Set<string>();
  /** By role and name: a tensor may be a bias of one layer and a running mean of another, where exporters merged equal values. */
  readonly found = new Map<string, FoundTensor & { readonly readers: Reader[] }>();
  /** Weights that cannot be replaced in the file. */
  readonly fixed = new Set<string>();

  constructor(
    readonly graph: StaticGraph,
    readonly stored: ReadonlySet<string>,
  ) {
    this.#active = new Set(graph.inputs.map(({ name }) => name));
    for (const node of graph.nodes) for (const name of node.outputs) this.#makers.set(name, node);
    for (const node of graph.nodes) this.#visit(node);
  }

  #visit(node: Node): void {
    if (node.outputs.every((name) => this.graph.constants.has(name))) return;
    const active = node.inputs.map((name) => this.#active.has(name));
    if (!active.some(Boolean)) return;
    const isBehind = node.inputs.some((name) => this.#deep.has(name));
    let isLayer = isBehind;
    for (const [i, name] of node.inputs.entries()) {
      if (name === '' || active[i]) continue;
      if (isWeight(node, i)) isLayer = this.#take(node, i, node, 'weight') || isLayer;
      else if (isStatistic(node, i)) this.#take(node, i, node, 'statistic');
      else if (isBehind && isWeightBehindLayers(node, i) && this.#isLearned(node, name))
        this.#take(node, i, node, 'weight');
    }
    for (const name of node.outputs) {
      this.#active.add(name);
      if (isLayer) this.#deep.add(name);
    }
  }

  /** Whether what is added to or multiplied with the output of a layer looks as if it was learned. */
  #isLearned({ operator }: Node, name: string): boolean {
    const tensor = this.graph.constants.get(name);
    const shape = tensor?.shape ?? this.graph.values.get(name)?.shape;
    if (!shape) return false;
    if (operator === 'Mul' && !isVector(shape as number[])) return false;
    // Zeros that fill up channels, as a shortcut without weights does.
    if (operator === 'Concat' && tensor && IS_NAMELESS.test(name) && numbersOf(tensor).every((v) => v === 0))
      return false;
    return !(tensor && operator === 'Add' && isMask(numbersOf(tensor)));
  }

  /** Marks the stored tensors that an input of a node is made of. @returns whether there are any */
  #take(reader: Node, input: number, layer: Node, role: FoundTensor['role']): boolean {
    const open: Reader[] = [{ node: reader, input }];
    const seen = new Set<Node>();
    let any = false;
    for (let at = open.pop(); at; at = open.pop()) {
      const name = at.node.inputs[at.input]!;
      const maker = this.#makers.get(name);
      if (this.stored.has(name)) any = this.#mark(name, at, layer, role) || any;
      else if ((!maker || maker.operator === 'Constant') && this.#isValue(name, at, layer, role))
        this.fixed.add(name);
      if (!maker || seen.has(maker) || this.stored.has(name)) continue;
      seen.add(maker);
      const inputs = JOINING.has(maker.operator) ? [...maker.inputs.keys()] : [0];
      for (const i of inputs) if (maker.inputs[i]) open.push({ node: maker, input: i });
    }
    return any;
  }

  /** Whether a tensor at the place of a weight or statistic is one. */
  #isValue(name: string, reader: Reader, { operator }: Node, role: FoundTensor['role']): boolean {
    const tensor = this.graph.constants.get(name);
    if (!tensor || !isFloat(tensor.type) || tensor.shape.length === 0) return false;
    // A factor alone is a scale of scores.
    if (FACTORS.has(reader.node.operator) && tensor.data.length < 2) return false;
    return !(role === 'weight' && NORMALISATIONS.has(operator) && isAbsentAffine(name, numbersOf(tensor)));
  }

  #mark(name: string, reader: Reader, layer: Node, role: FoundTensor['role']): boolean {
    if (!this.#isValue(name, reader, layer, role)) return false;
    const { operator } = layer;
    const key = `${role} ${name}`;
    const found = this.found.get(key) ?? { name, role, operator, readers: [] };
    if (!found.readers.some(({ node, input }) => node === reader.node && input === reader.input))
      found.readers.push(reader);
    this.found.set(key, found);
    return true;
  }
}

/**
 * The weights and running statistics of a network.
 * @param stored tensors of the file that can be replaced in it
 * @returns `fixed`: the names of those that cannot
 */
export function findTensors(
  graph: StaticGraph,
  stored: ReadonlySet<string>,
): { readonly found: readonly FoundTensor[]; readonly fixed: readonly string[] } {
  const { found, fixed } = new Search(graph, stored);
  return { found: [...found.values()], fixed: [...fixed] };
}
