/**
 * Random numbers in a model that was exported as in training. In training they are drawn anew for every batch, in evaluation they are
 * their means: a mask of ones and zeros, which PyTorch divides by its mean, then leaves what it is multiplied with as it is
 * (drop-connect, stochastic depth), and noise that is added with a mean of zero is gone.
 */
import { type Attribute, GraphError, type Node } from '../onnx/types.js';
import { DRAWING, type Gap } from './gaps.js';
import { isFloat, numbersOf } from './numbers.js';
import type { StaticGraph } from './static.js';

/** A value that is random in training. */
export interface Noise {
  readonly value: string;
  /** What it is in evaluation. */
  readonly mean: number;
  /** Values that nothing but it is made of. */
  readonly sources: readonly string[];
}

const isDrawing = ({ operator, domain }: Node) => domain === '' && DRAWING.has(operator);

const float = ({ attributes }: Node, name: string, fallback: number): number => {
  const attribute = attributes[name];
  return attribute?.kind === 'float' ? attribute.value : fallback;
};
const uniformOf = (node: Node) => ({ low: float(node, 'low', 0), high: float(node, 'high', 1) });
const normalOf = (node: Node) => ({ mean: float(node, 'mean', 0), scale: float(node, 'scale', 1) });

/** Ones and zeros. */
interface Mask {
  /** The last of the nodes that make it. */
  readonly last: Node;
  /** Of a one. */
  readonly probability: number;
  readonly sources: readonly string[];
}

class NoiseSearch {
  readonly #readers = new Map<string, Node[]>();

  constructor(readonly graph: StaticGraph) {
    for (const node of graph.nodes)
      for (const name of new Set(node.inputs))
        this.#readers.set(name, [...(this.#readers.get(name) ?? []), node]);
  }

  #readersOf(name: string): readonly Node[] {
    return this.#readers.get(name) ?? [];
  }

  /** The only node that reads a value, if it is of one of some operators. */
  #onlyReader(name: string, ...operators: readonly string[]): Node | undefined {
    const [reader, ...others] = this.#readersOf(name);
    return reader && others.length === 0 && operators.includes(reader.operator) ? reader : undefined;
  }

  /** The number that all values of a stored tensor are. */
  #numberOf(name: string | undefined): number | undefined {
    const tensor = this.graph.constants.get(name ?? '');
    if (!tensor || !isFloat(tensor.type)) return undefined;
    const [first, ...others] = numbersOf(tensor);
    return others.every((value) => value === first) ? first : undefined;
  }

  /** A mask that is made of drawn numbers, as PyTorch's exporters write it. */
  maskOf(source: Node): Mask | undefined {
    const [drawn] = source.outputs as [string];
    if (source.operator === 'Bernoulli') {
      const probability = this.#numberOf(source.inputs[0]);
      return probability === undefined ? undefined : { last: source, probability, sources: [] };
    }
    const { low, high } = uniformOf(source);
    if (!source.operator.startsWith('RandomUniform') || low !== 0 || high !== 1) return undefined;
    const reader = this.#onlyReader(drawn, 'Add', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual');
    const limit = this.#numberOf(reader?.inputs.find((name) => name !== drawn));
    if (!reader || limit === undefined || limit < 0 || limit > 1) return undefined;
    const [made] = reader.outputs as [string];
    const last = this.#onlyReader(made, reader.operator === 'Add' ? 'Floor' : 'Cast');
    if (!last) return undefined;
    const isBelow = reader.operator.startsWith('Less') === (reader.inputs[0] === drawn);
    const probability = reader.operator === 'Add' || isBelow ? limit : 1 - limit;
    return { last, probability, sources: [drawn, made] };
  }

  /** Whether what is made of a value in the end is linear in it, for whatever the network says. */
  isLinear(name: string): boolean {
    return this.#readersOf(name).every(({ operator, inputs, outputs }) => {
      const others = inputs.filter((input) => input !== name);
      const isOnce = others.length === inputs.length - 1;
      const suits =
        /^(Add|Sub|Mul|Identity|Cast)$/.test(operator) || (operator === 'Div' && inputs[0] === name);
      const isAlone = others.every((other) => this.graph.constants.has(other));
      return isOnce && suits && (!isAlone || this.isLinear(outputs[0]!));
    });
  }
}

/** A node that draws numbers of a known shape and needs nothing for it. */
const drawing = (
  operator: 'Bernoulli' | 'RandomNormal' | 'RandomUniform',
  value: string,
  shape: readonly number[],
  numbers: Readonly<Record<string, number>>,
): Node => ({
  ...{ name: value, operator, domain: '', inputs: [], outputs: [value] },
  attributes: {
    shape: { kind: 'ints', value: shape },
    ...Object.fromEntries(
      Object.entries(numbers).map(([name, of]): [string, Attribute] => [name, { kind: 'float', value: of }]),
    ),
  },
});

const NOT_LINEAR =
  'its random numbers cannot be turned off in evaluation: supported are masks of ones and zeros that something is multiplied with ' +
  '(Dropout, drop-connect), and noise that is added. Export the model in evaluation mode';
const NOT_IN_FILE =
  'its random numbers lie inside a function or a branch, where they cannot be turned off for evaluation: export the model in ' +
  'evaluation mode';

/** What a node that draws becomes. @throws GraphError for what cannot be turned off */
function drawnBy(
  search: NoiseSearch,
  source: Node,
  file: ReadonlySet<string>,
): { readonly noise: Noise; readonly node: Node } {
  const mask = search.maskOf(source);
  const [value] = (mask?.last ?? source).outputs as [string];
  const shape = search.graph.values.get(value)!.shape as readonly number[];
  if (source.operator === 'Bernoulli' && !mask)
    throw new GraphError('its probabilities must be a stored number, the same for all values');
  if (!search.isLinear(value)) throw new GraphError(NOT_LINEAR);
  if (!file.has(value)) throw new GraphError(NOT_IN_FILE);
  if (mask) {
    const { probability, sources } = mask;
    const node = drawing('Bernoulli', value, shape, { probability });
    return { node, noise: { value, mean: probability, sources } };
  }
  if (source.operator.startsWith('RandomNormal')) {
    const { mean, scale } = normalOf(source);
    return {
      node: drawing('RandomNormal', value, shape, { mean, scale }),
      noise: { value, mean, sources: [] },
    };
  }
  const { low, high } = uniformOf(source);
  return {
    node: drawing('RandomUniform', value, shape, { low, high }),
    noise: { value, mean: (low + high) / 2, sources: [] },
  };
}

/**
 * The graph with its random numbers as nodes that `network.ts` knows, and what they are.
 * @param file values that nodes of the file make
 */
export function withNoise(
  graph: StaticGraph,
  file: ReadonlySet<string>,
): { readonly graph: StaticGraph; readonly noise: readonly Noise[] } {
  const search = new NoiseSearch(graph);
  const drawn = new Map<string, Node>();
  const noise: Noise[] = [];
  const gaps: Gap[] = [];
  for (const source of graph.nodes.filter(isDrawing)) {
    // What depends on a gap is not examined.
    if (!graph.values.has(source.outputs[0]!)) continue;
    try {
      const found = drawnBy(search, source, file);
      drawn.set(found.noise.value, found.node);
      noise.push(found.noise);
    } catch (error) {
      if (!(error instanceof GraphError)) throw error;
      const { operator, name, outputs } = source;
      gaps.push({ operator, reason: error.message, node: name || outputs[0]! });
    }
  }
  const nodes = graph.nodes.map((node) => drawn.get(node.outputs[0]!) ?? node);
  return { noise, graph: { ...graph, nodes, gaps: [...graph.gaps, ...gaps] } };
}
