import { GraphBuilder } from '../onnx/builder.js';
import { operatorOf } from '../onnx/registry.js';
import { type Graph, GraphError, type Node, type Opsets, type Value } from '../onnx/types.js';
import { inBodies } from '../passes/bodies.js';
import { needed, readsOf } from '../passes/needed.js';
import { withSharedNodes } from '../passes/shared-nodes.js';
import {
  fromSlicePairs,
  halvesOf,
  isSlicePairs,
  type SlicePairs,
  toSlicePairs,
} from './blocked/slice-pairs.js';
import { callsOf } from './calls.js';
import type { Call, Operands } from './form.js';
import { type ChooseForm, formOf, hasForms } from './index.js';
import type { BlockedLayout, Layout } from './layout.js';

/** What the values of a graph have become: plain tensors, slice pairs, or both once a form has asked for the other. */
class Lowered {
  readonly #plain = new Map<string, Value>();
  readonly #slicePairs = new Map<string, SlicePairs>();

  /** @param outer for a body: the values of the graph around it */
  constructor(
    readonly g: GraphBuilder,
    readonly blocked: BlockedLayout | null,
    readonly outer?: Lowered,
  ) {}

  set(name: string, value: Value | SlicePairs): void {
    if (isSlicePairs(value)) this.#slicePairs.set(name, value);
    else this.#plain.set(name, value);
  }

  /** Type and shape of a value. */
  describe(name: string): Value {
    const pairs = this.#owner(name).#slicePairs.get(name);
    return pairs ? { name, type: halvesOf(pairs)[0]!.type, shape: pairs.shape } : this.plain(name);
  }

  /** Slice pairs where the value has been brought into them, or was made so. */
  layoutOf(name: string): Layout {
    return this.#owner(name).#slicePairs.has(name) ? 'slicePairs' : 'plain';
  }

  plain(name: string): Value {
    const owner = this.#owner(name);
    const known = owner.#plain.get(name);
    if (known) return known;
    const { g } = owner;
    const value = g.scope(`${name}/plain`, () =>
      fromSlicePairs(g, owner.#slicePairs.get(name)!, this.blocked!),
    );
    owner.#plain.set(name, value);
    return value;
  }

  slicePairs(name: string): SlicePairs {
    const owner = this.#owner(name);
    const known = owner.#slicePairs.get(name);
    if (known) return known;
    const { g } = owner;
    const value = g.scope(`${name}/planes`, () => toSlicePairs(g, owner.#plain.get(name)!, this.blocked!));
    owner.#slicePairs.set(name, value);
    return value;
  }

  #owner(name: string): Lowered {
    if (this.#plain.has(name) || this.#slicePairs.has(name)) return this;
    if (this.outer) return this.outer.#owner(name);
    throw new GraphError(`"${name}" is read in graph "${this.g.name}", but nothing before makes it`);
  }
}

/** What decides how a graph is lowered. */
export interface Lowering {
  readonly choose: ChooseForm;
  /** What the engine offers beside the standard's operators; nothing by default. */
  readonly blocked?: BlockedLayout | null;
}

/**
 * Replaces every high-level operator by ONNX operators, and ONNX operators by faster equivalents,
 * in the form that `choose` names, drops what no output needs, and computes what is equal and small once. Inputs and outputs
 * keep names and order; the bodies of loops and branches are lowered too.
 * @throws GraphError when an unknown form, or one that does not apply, was chosen; for an operator that is unknown
 */
export const lower = (graph: Graph, lowering: Lowering): Graph =>
  lowerInto(new GraphBuilder(graph.name), graph, lowering, graph.opsets);

function lowerInto(
  g: GraphBuilder,
  graph: Graph,
  lowering: Lowering,
  opsets: Opsets | undefined,
  outer?: Lowered,
): Graph {
  const { choose, blocked = null } = lowering;
  const nodes = needed(graph);
  const lowered = new Lowered(g, blocked, outer);
  const callOf = callsOf(
    (name) => lowered.describe(name),
    blocked,
    (name) => lowered.layoutOf(name),
  );
  g.reserve(nodes.flatMap((node) => node.outputs));
  for (const { name, type, shape, isSequence } of graph.inputs) {
    // Old files list stored tensors among the inputs.
    if (graph.initializers.has(name)) continue;
    lowered.set(name, isSequence ? g.sequenceInput(name, type) : g.input(name, type, shape));
  }
  // All constants first, so that none of the forms' own can take their names.
  for (const name of new Set([...nodes.flatMap(readsOf), ...graph.outputs.map((v) => v.name)])) {
    const tensor = graph.initializers.get(name);
    if (tensor) lowered.set(name, g.initializer(name, tensor));
  }
  const plainInputs = (node: Node) => node.inputs.map((name) => (name === '' ? null : lowered.plain(name)));
  const lowerBodies = (node: Node): Node =>
    inBodies(node, (body) =>
      lowerInto(new GraphBuilder(body.name, { outer: g }), body, lowering, opsets, lowered),
    );

  const form = (node: Node): readonly (Value | SlicePairs)[] => {
    const operator = operatorOf(node, opsets);
    // Of the standard's operators forms give the first output only: not the places of maxima.
    const isWhole = node.domain === '' && node.outputs.length > 1;
    if (isWhole || !hasForms(operator)) return g.copy(lowerBodies(node), plainInputs(node));
    const call = callOf(node, operator) as Call<never>;
    const chosen = choose(operator, call);
    if (node.domain === '' && chosen === 'plain') return g.copy(node, plainInputs(node));
    const found = formOf(operator, chosen);
    if (!found || found.applies?.(call) === false)
      throw new GraphError(`${operator} at "${node.name}" cannot take the form "${chosen}"`);
    const scope = node.name || node.outputs[0]!;
    if (found.layout !== 'slicePairs') {
      const inputs = plainInputs(node);
      return g.scope(scope, () => found.build(g, { ...call, inputs }));
    }
    const operands: Operands = {
      plain: (i) => lowered.plain(node.inputs[i]!),
      slicePairs: (i) => lowered.slicePairs(node.inputs[i]!),
    };
    return g.scope(scope, () => found.build(g, call, operands));
  };

  for (const node of nodes) {
    const results = form(node);
    for (const [i, name] of node.outputs.entries()) if (name !== '') lowered.set(name, results[i]!);
  }
  for (const { name } of graph.outputs) g.output(name, lowered.plain(name));
  const made = g.build();
  // Forms make all outputs of an operator. What nobody reads would be computed at the end, and until then hold on to its operands.
  return withSharedNodes({ ...made, nodes: needed(made) });
}
