import { attributesOf, GraphBuilder } from '../onnx/builder.js';
import { MEANING_DOMAIN } from '../onnx/operator.js';
import type { MeaningName } from '../onnx/ops/index.js';
import { type Graph, GraphError, type Node, type Value } from '../onnx/types.js';
import type { Call, Form } from './form.js';
import { type ChooseForm, forms } from './index.js';

/** The nodes that some output depends on, in order. */
function needed(graph: Graph): Node[] {
  const wanted = new Set(graph.outputs.map((v) => v.name));
  const kept = graph.nodes.toReversed().filter((node) => {
    if (!node.outputs.some((name) => wanted.has(name))) return false;
    for (const name of node.inputs) wanted.add(name);
    return true;
  });
  return kept.reverse();
}

/**
 * Replaces every operator that only says what is meant by ONNX operators, in the form that `choose` names,
 * and drops what no output needs.
 * @throws GraphError when an unknown form, or one that does not apply, was chosen
 */
export function lower(graph: Graph, choose: ChooseForm): Graph {
  const g = new GraphBuilder(graph.name);
  const nodes = needed(graph);
  const outputs = new Set(graph.outputs.map((v) => v.name));
  const madeBy = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node.operator] as const)));
  const lowered = new Map<string, Value>();
  for (const { name, type, shape } of graph.inputs) lowered.set(name, g.input(name, type, shape));
  // All constants first, so that none of the forms' own can take their names.
  for (const name of new Set(nodes.flatMap((node) => node.inputs))) {
    const tensor = graph.initializers.get(name);
    if (tensor) lowered.set(name, g.initializer(name, tensor));
  }

  for (const node of nodes) {
    const inputs = node.inputs.map((name) => (name === '' ? null : lowered.get(name)!));
    if (node.domain !== MEANING_DOMAIN) {
      const isOutput = node.outputs.some((name) => outputs.has(name));
      const copies = isOutput ? [g.output(node.outputs[0]!, inputs[0]!)] : g.copy(node, inputs);
      for (const [i, name] of node.outputs.entries()) lowered.set(name, copies[i]!);
      continue;
    }
    const operator = node.operator as MeaningName;
    const call: Call<never> = {
      inputs,
      attributes: attributesOf(node, operator) as never,
      madeBy: node.inputs.map((name) => madeBy.get(name)),
    };
    const chosen = choose(operator, call);
    const form = (forms[operator] as Readonly<Record<string, Form<never>>>)[chosen];
    if (!form || form.applies?.(call) === false)
      throw new GraphError(`${operator} at "${node.name}" cannot take the form "${chosen}"`);
    const results = g.scope(node.name, () => form.build(g, call));
    for (const [i, name] of node.outputs.entries()) lowered.set(name, results[i]!);
  }
  return g.build();
}
