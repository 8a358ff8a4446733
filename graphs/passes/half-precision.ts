/**
 * A graph for inference whose feature maps and kernels are float16.
 *
 * - The first convolution or product, and all that follows it up to the last, compute in float16; what is before, such as the
 *   window of intensities, and what is behind, such as means, Sigmoid and Softmax, in float32.
 * - Inputs and outputs keep their names, types and sizes.
 * - Kernels are stored in float16; a value beyond 65,504 becomes infinite.
 */
import { GraphBuilder } from '../onnx/builder.js';
import { toFloat16 } from '../onnx/float16.js';
import type { OperatorName } from '../onnx/ops/index.js';
import { operatorOf } from '../onnx/registry.js';
import { type ElementType, type Graph, TYPE_CODES, type Value } from '../onnx/types.js';
import { needed } from './needed.js';

/** What takes most of the time. */
const BEGIN: ReadonlySet<OperatorName> = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);
/** What computes in the type of its first input. */
const FOLLOW: ReadonlySet<OperatorName> = new Set([
  'Relu',
  'LeakyRelu',
  'MaxPool',
  'Resize',
  'Add',
  'Concat',
]);
/** Inputs that are not of the type that is computed in, from this one on. */
const OTHER_INPUTS: Partial<Record<OperatorName, number>> = { Resize: 1 };

/** @throws GraphError for an operator that is unknown */
export function halfPrecision(graph: Graph): Graph {
  const g = new GraphBuilder(graph.name);
  const values = new Map<string, Value>();
  const converted = new Map<string, Value>();
  for (const input of graph.inputs) values.set(input.name, g.input(input.name, input.type, input.shape));

  const read = (name: string): Value => {
    const known = values.get(name);
    if (known) return known;
    const stored = g.initializer(name, graph.initializers.get(name)!);
    values.set(name, stored);
    return stored;
  };
  /** The value in a type: cast, or, if it is stored, stored in that type. */
  const readAs = (name: string, type: ElementType): Value => {
    const tensor = graph.initializers.get(name);
    const from = tensor?.type ?? values.get(name)!.type;
    if (from === type || !from.startsWith('float')) return read(name);
    const key = `${name}:${type}`;
    const known = converted.get(key);
    if (known) return known;
    const made =
      tensor && type === 'float16'
        ? g.initializer(`${name}.float16`, { ...tensor, type, data: toFloat16(tensor.data as Float32Array) })
        : g.add('Cast', [read(name)], { to: TYPE_CODES[type] });
    converted.set(key, made);
    return made;
  };

  g.reserve([...graph.initializers.keys(), ...graph.nodes.flatMap((node) => node.outputs)]);
  for (const node of needed(graph)) {
    const operator = operatorOf(node, graph.opsets);
    const follows = FOLLOW.has(operator) && node.inputs.some((name) => values.get(name)?.type === 'float16');
    const type = BEGIN.has(operator) || follows ? 'float16' : 'float32';
    const other = OTHER_INPUTS[operator] ?? node.inputs.length;
    const inputs = node.inputs.map((name, i) => {
      if (name === '') return null;
      return i < other ? readAs(name, type) : read(name);
    });
    const results = g.copy(node, inputs, graph.opsets);
    for (const [i, name] of node.outputs.entries()) values.set(name, results[i]!);
  }
  for (const { name, type } of graph.outputs) g.output(name, readAs(name, type));
  return g.build();
}
