import { attributesOf } from '../onnx/attributes.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { OperatorName } from '../onnx/ops/index.js';
import { operatorOf } from '../onnx/registry.js';
import { formatShape, GraphError, knownShape, type Node, type Value } from '../onnx/types.js';
import { ForwardValues } from './recompute.js';
import type { Application, NoGradient, Rule } from './rule.js';
import { rules } from './rules/index.js';

const FLOATS: ReadonlySet<string> = new Set(['float16', 'float32', 'float64']);

/** Sums a gradient over what broadcasting repeated, down to the shape of the value it belongs to. */
function unbroadcast(g: GraphBuilder, gradient: Value, value: Value): Value {
  if (formatShape(gradient.shape) === formatShape(value.shape)) return gradient;
  const to = knownShape(value.shape, 'a gradient');
  const extra = gradient.shape.length - to.length;
  const axes = gradient.shape
    .map((_, i) => i)
    .filter((i) => i < extra || (to[i - extra] === 1 && gradient.shape[i] !== 1));
  const summed = axes.length > 0 ? g.sum(gradient, axes) : gradient;
  return g.reshape(summed, to);
}

/** Names of all values that depend, through floats, on one of `sources`. */
function dependents(nodes: readonly Node[], g: GraphBuilder, sources: readonly Value[]): Set<string> {
  const found = new Set(sources.map((v) => v.name));
  const { values } = g.build();
  for (const node of nodes) {
    if (!node.inputs.some((name) => found.has(name))) continue;
    for (const output of node.outputs) if (FLOATS.has(values.get(output)!.type)) found.add(output);
  }
  return found;
}

export interface BackwardPassOptions {
  /** Names of values of the forward pass that are computed anew instead of kept: see {@link ForwardValues}. */
  readonly forgotten?: ReadonlySet<string>;
  /** By what all gradients are multiplied, a scalar; 1 without it. */
  readonly scale?: Value | undefined;
}

/**
 * Reverse-mode differentiation: appends to `g` the nodes that compute dL/d(each of `sources`).
 * @param loss a float scalar of `g`
 * @returns one gradient a source, of its shape; `null` where the loss does not depend on it
 * @throws GraphError where an operator on the way has no gradient
 */
export function backward(
  g: GraphBuilder,
  loss: Value,
  sources: readonly Value[],
  { forgotten = new Set(), scale }: BackwardPassOptions = {},
): (Value | null)[] {
  if (loss.shape.length !== 0)
    throw new GraphError(`a loss is a scalar, "${loss.name}" is ${formatShape(loss.shape)}`);
  const { nodes, values } = g.build();
  const forward = new ForwardValues(g, { nodes, values }, forgotten);
  const relevant = dependents(nodes, g, sources);
  const gradients = new Map<string, Value>([[loss.name, scale ?? g.scalar(1, loss.type)]]);

  for (const node of nodes.toReversed()) {
    const outputGradients = node.outputs.map((name) =>
      relevant.has(name) ? (gradients.get(name) ?? null) : null,
    );
    const first = outputGradients.find((v) => v !== null);
    if (!first || !node.inputs.some((name) => relevant.has(name))) continue;
    const operator = operatorOf(node);
    const rule = rules[operator] as Rule<OperatorName> | NoGradient | undefined;
    if (typeof rule !== 'function')
      throw new GraphError(
        `${operator} at "${node.name}" has no gradient: ${rule?.noGradient ?? 'unknown operator'}`,
      );

    g.scope(`gradient/${node.name}`, () => {
      const inputs = node.inputs.map((name) => forward.read(name));
      const contributions = rule({
        g,
        inputs,
        outputs: node.outputs.map((name) => forward.read(name)),
        attributes: attributesOf(node, operator),
        dy: outputGradients[0] ?? first,
        gradients: outputGradients,
      } as Application<OperatorName>);
      if (contributions.length < inputs.length)
        throw new GraphError(
          `the rule of ${operator} gives ${contributions.length} gradients for ${inputs.length} inputs`,
        );
      node.inputs.forEach((name, i) => {
        const build = contributions[i];
        if (!build || !relevant.has(name)) return;
        const gradient = unbroadcast(g, build(), inputs[i]!);
        if (gradient.shape.length === 1) forward.reached(gradient);
        const sum = gradients.get(name);
        gradients.set(name, sum ? g.add('Add', [sum, gradient]) : gradient);
      });
    });
  }
  return sources.map((source) => gradients.get(source.name) ?? null);
}
