/**
 * A training graph, not lowered yet, in which convolutions, max-pools and their gradients compute in float16.
 *
 * - Feature maps are kept in float16 between the forward and the backward pass, normalised ones too; statistics are taken in
 *   float32, as are losses, optimiser and parameters, of which float16 copies are made.
 * - Inputs and outputs keep names, types, sizes and order; values that are no float stay as they are.
 * - Gradients below 6e-8 become 0, values beyond 65,504 infinite: whoever differentiates scales the loss.
 */
import { attributesOf } from '../onnx/attributes.js';
import { GraphBuilder } from '../onnx/builder.js';
import type { OperatorName } from '../onnx/ops/index.js';
import { operatorOf } from '../onnx/registry.js';
import { type ElementType, type Graph, type Node, TYPE_CODES, type Value } from '../onnx/types.js';
import { needed } from './needed.js';

/** What computes in float16. */
const HALF: ReadonlySet<OperatorName> = new Set([
  'Conv',
  'ConvInputGrad',
  'ConvTranspose',
  'ConvWeightGrad',
  'MaxPool',
  'MaxPoolGrad',
  'UpsampleConv',
  'UpsampleConvInputGrad',
  'UpsampleConvWeightGrad',
]);
/** What computes in float16 where all that it reads is float16. */
const FOLLOW: ReadonlySet<OperatorName> = new Set(['Add', 'Concat', 'Relu']);
/** What computes in float32, and which of its results are feature maps, to be kept in float16. */
const KEPT: Partial<Record<OperatorName, readonly number[]>> = {
  BatchNorm: [0, 3],
  BatchNormGrad: [0],
  ChannelAffine: [0],
};

const FLOATS: ReadonlySet<ElementType> = new Set(['float16', 'float32']);

/** @throws GraphError for an operator that is unknown */
export function mixedPrecision(graph: Graph): Graph {
  const g = new GraphBuilder(graph.name);
  const values = new Map<string, Value>();
  const converted = new Map<string, Value>();
  for (const { name, type, shape } of graph.inputs) values.set(name, g.input(name, type, shape));
  for (const [name, tensor] of graph.initializers) values.set(name, g.initializer(name, tensor));
  const nodes = needed(graph);
  g.reserve(nodes.flatMap((node) => node.outputs));

  const cast = (value: Value, type: ElementType) => g.add('Cast', [value], { to: TYPE_CODES[type] });
  const readAs = (name: string, type: ElementType): Value => {
    const value = values.get(name)!;
    if (value.type === type || !FLOATS.has(value.type)) return value;
    const key = `${name}:${type}`;
    const known = converted.get(key) ?? cast(value, type);
    converted.set(key, known);
    return known;
  };
  const isHalf = (operator: OperatorName, { inputs }: Node): boolean =>
    HALF.has(operator) ||
    (FOLLOW.has(operator) && inputs.every((name) => values.get(name)!.type === 'float16'));

  for (const node of nodes) {
    const operator = operatorOf(node);
    const type = isHalf(operator, node) ? 'float16' : 'float32';
    const inputs = node.inputs.map((name) => (name === '' ? null : readAs(name, type)));
    const kept = KEPT[operator];
    const results = kept
      ? g
          .addMany(operator, inputs, attributesOf(node, operator), node.outputs.length)
          .map((value, i) => (kept.includes(i) ? cast(value, 'float16') : value))
      : g.copy(node, inputs);
    for (const [i, name] of node.outputs.entries()) values.set(name, results[i]!);
  }
  for (const { name, type } of graph.outputs) g.output(name, readAs(name, type));
  return g.build();
}
