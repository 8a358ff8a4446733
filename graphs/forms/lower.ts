import { GraphBuilder } from '../onnx/builder.js';
import { MEANING_DOMAIN } from '../onnx/operator.js';
import type { OperatorName } from '../onnx/ops/index.js';
import { type Graph, GraphError, type Node, type Value } from '../onnx/types.js';
import { callsOf, needed } from './calls.js';
import type { Call, Form, Native, Operands } from './form.js';
import { type ChooseForm, forms, hasForms } from './index.js';
import { fromPlanes, isPlanes, type Planes, toPlanes } from './planes.js';

/** What the values of a graph have become: plain tensors, planes, or both once a form has asked for the other. */
class Lowered {
  readonly #plain = new Map<string, Value>();
  readonly #planes = new Map<string, Planes>();

  constructor(
    readonly g: GraphBuilder,
    readonly native: Native | null,
  ) {}

  set(name: string, value: Value | Planes): void {
    if (isPlanes(value)) this.#planes.set(name, value);
    else this.#plain.set(name, value);
  }

  plain(name: string): Value {
    const known = this.#plain.get(name);
    if (known) return known;
    const value = this.g.scope(`${name}/plain`, () => fromPlanes(this.g, this.#planes.get(name)!));
    this.#plain.set(name, value);
    return value;
  }

  planes(name: string): Planes {
    const known = this.#planes.get(name);
    if (known) return known;
    const value = this.g.scope(`${name}/planes`, () =>
      toPlanes(this.g, this.#plain.get(name)!, this.native!),
    );
    this.#planes.set(name, value);
    return value;
  }
}

/** What decides how a graph is lowered. */
export interface Lowering {
  readonly choose: ChooseForm;
  /** What the engine offers beside the standard's operators; nothing by default. */
  readonly native?: Native | null;
}

/**
 * Replaces every operator that only says what is meant by ONNX operators, and ONNX operators by faster equivalents,
 * in the form that `choose` names, and drops what no output needs.
 * @throws GraphError when an unknown form, or one that does not apply, was chosen
 */
export function lower(graph: Graph, { choose, native = null }: Lowering): Graph {
  const g = new GraphBuilder(graph.name);
  const nodes = needed(graph);
  const outputs = new Set(graph.outputs.map((v) => v.name));
  const callOf = callsOf(graph, nodes, native);
  const lowered = new Lowered(g, native);
  for (const { name, type, shape, isSequence } of graph.inputs)
    lowered.set(name, isSequence ? g.sequenceInput(name, type) : g.input(name, type, shape));
  // All constants first, so that none of the forms' own can take their names.
  for (const name of new Set(nodes.flatMap((node) => node.inputs))) {
    const tensor = graph.initializers.get(name);
    if (tensor) lowered.set(name, g.initializer(name, tensor));
  }
  const plainInputs = (node: Node) => node.inputs.map((name) => (name === '' ? null : lowered.plain(name)));

  const form = (node: Node): (Value | Planes)[] => {
    const operator = node.operator as OperatorName;
    const asIs = node.domain !== MEANING_DOMAIN;
    if (!hasForms(operator)) {
      const isOutput = node.outputs.some((name) => outputs.has(name));
      const inputs = plainInputs(node);
      return isOutput ? [g.output(node.outputs[0]!, inputs[0]!)] : g.copy(node, inputs);
    }
    const call = callOf(node) as Call<never>;
    const chosen = choose(operator, call);
    if (asIs && chosen === 'plain') return g.copy(node, plainInputs(node));
    const found = (forms[operator] as Readonly<Record<string, Form<never>>>)[chosen];
    if (!found || found.applies?.(call) === false)
      throw new GraphError(`${operator} at "${node.name}" cannot take the form "${chosen}"`);
    if (found.layout !== 'planes') {
      const inputs = plainInputs(node);
      return g.scope(node.name, () => found.build(g, { ...call, inputs }));
    }
    const operands: Operands = {
      plain: (i) => lowered.plain(node.inputs[i]!),
      planes: (i) => lowered.planes(node.inputs[i]!),
    };
    return g.scope(node.name, () => found.build(g, call, operands));
  };

  for (const node of nodes) {
    const results = form(node);
    for (const [i, name] of node.outputs.entries()) lowered.set(name, results[i]!);
  }
  return g.build();
}
