/*
 * Values of the forward pass that a backward pass computes anew instead of keeping them: less memory for more time.
 *
 * - They are computed from what is kept, node by node, when the first gradient rule asks for one.
 * - Each is given a dependency on a gradient: without it, a runtime would compute them during the forward pass, or find that
 *   it has them already, and keep them.
 * - Running statistics are not touched: the statistics of a normalisation are kept, and its results are computed from them.
 */
import { attributesOf } from '../onnx/attributes.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { OperatorName } from '../onnx/ops/index.js';
import { operatorOf } from '../onnx/registry.js';
import { type Graph, GraphError, type Node, TYPE_CODES, type Value } from '../onnx/types.js';

/** What the remaking of one node's output gets. */
interface Remake<K extends OperatorName> {
  readonly g: GraphBuilder;
  readonly node: Node;
  readonly operator: K;
  readonly output: number;
  /** An input of the node, computed anew where it is not kept. */
  input(i: number): Value;
  /** An output that is kept, or computed anew. */
  result(i: number): Value;
  /** The same values, known only once the backward pass has come here. */
  late(value: Value): Value;
}

const again = ({ g, node, operator, input, late }: Remake<OperatorName>): Value => {
  const inputs = node.inputs.map((name, i) => (name === '' ? null : i === 1 ? late(input(i)) : input(i)));
  return g.add(operator, inputs, attributesOf(node, operator));
};

/** By operator; every other value is always kept. */
const REMAKES: Partial<Record<OperatorName, (remake: Remake<OperatorName>) => Value>> = {
  Conv: again,
  UpsampleConv: again,
  Add: ({ g, input }) => g.add('Add', [input(0), input(1)]),
  BatchNorm({ g, node, output, input, result, late }) {
    const { epsilon, relu } = attributesOf(node, 'BatchNorm');
    const [mean, variance] = [result(1), late(result(2))];
    if (output === 0) {
      const deviation = g.add('Sqrt', [g.add('Add', [variance, g.scalar(epsilon, variance.type)])]);
      const slope = g.add('Mul', [input(1), g.add('Reciprocal', [deviation])]);
      return g.add('ChannelAffine', [result(3), slope, input(2)], { relu });
    }
    if (output !== 3) throw new GraphError(`statistics at "${node.name}" are always kept`);
    const ones = g.add('Expand', [g.scalar(1, mean.type), g.integers(mean.shape as number[])]);
    return g.add('ChannelAffine', [input(0), ones, g.add('Neg', [mean])]);
  },
};

export const canRemake = (node: Node): boolean => operatorOf(node) in REMAKES;

/** Reads values of a forward pass, some of which are not kept. */
export class ForwardValues {
  readonly #makers: ReadonlyMap<string, Node>;
  readonly #made = new Map<string, Value>();
  #reached: Value | null = null;
  #zero: Value | null = null;

  /** @param forgotten names of values that are not kept */
  constructor(
    readonly g: GraphBuilder,
    readonly graph: Pick<Graph, 'nodes' | 'values'>,
    readonly forgotten: ReadonlySet<string>,
  ) {
    this.#makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  }

  /** Tells how far the backward pass has come. @param gradient a vector; what is computed from now on waits for it */
  reached(gradient: Value): void {
    this.#reached = gradient;
    this.#zero = null;
  }

  /** 0, once the gradient is known that was reached last; also where that is not a number, which nothing is greater than. */
  #lateZero(gradient: Value): Value {
    const { g } = this;
    if (this.#zero) return this.#zero;
    const first = g.slice(gradient, [0], [1], [0]);
    this.#zero = g.add('Cast', [g.add('Greater', [first, first])], { to: TYPE_CODES[gradient.type] });
    return this.#zero;
  }

  read(name: string): Value {
    const kept = this.graph.values.get(name)!;
    const reached = this.#reached;
    // Where no gradient is known yet, what is asked for has just been computed.
    if (!this.forgotten.has(name) || !reached) return kept;
    const known = this.#made.get(name);
    if (known) return known;
    const node = this.#makers.get(name)!;
    const operator = operatorOf(node);
    const made = this.g.scope(`again/${node.name}`, () =>
      REMAKES[operator]!({
        g: this.g,
        node,
        operator,
        output: node.outputs.indexOf(name),
        input: (i) => this.read(node.inputs[i]!),
        result: (i) => this.read(node.outputs[i]!),
        late: (value) => this.g.add('Add', [value, this.#lateZero(reached)]),
      }),
    );
    this.#made.set(name, made);
    return made;
  }
}
