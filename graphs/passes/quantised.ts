/**
 * A graph for inference whose convolutions compute with integers of 8 bits (static quantisation, as pairs of QuantizeLinear and
 * DequantizeLinear, which runtimes fuse into the operators between them).
 *
 * - A convolution with stored weights is quantised when a Relu, or a sum, takes its result: all of an encoder, and not one that makes
 *   logits or a reconstruction. Transposed ones stay as they are.
 * - Its input and its result, behind the Relu, are uint8 in the range that was observed; its weights int8 of which 7 bits are used,
 *   symmetric, with a scale for each output channel; its bias int32.
 * - What MaxPool, Resize and sums make of quantised values is quantised too.
 * - Inputs and outputs keep their names, types and sizes.
 */
import { GraphBuilder } from '../onnx/builder.js';
import { findOperator } from '../onnx/registry.js';
import { type Graph, type Node, sizeOf, type Tensor, type Value } from '../onnx/types.js';
import { needed, readsOf } from './needed.js';

/** Least and largest value of a tensor. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

interface Plan {
  readonly convolutions: ReadonlySet<Node>;
  /** Values that are quantised, by the value whose range they have. */
  readonly ranges: ReadonlyMap<string, string>;
}

/** What is quantised. */
function planOf(graph: Graph): Plan {
  const nodes = needed(graph);
  const readers = new Map<string, Node[]>();
  for (const node of nodes)
    for (const name of readsOf(node)) readers.set(name, [...(readers.get(name) ?? []), node]);
  const onlyReader = (name: string): Node | undefined => {
    const found = readers.get(name) ?? [];
    return found.length === 1 && !graph.outputs.some((output) => output.name === name) ? found[0] : undefined;
  };
  /** A node's result, or what a Relu that is all that reads it makes of it. */
  const resultOf = ({ outputs: [name] }: Node): string => {
    const reader = onlyReader(name!);
    return reader && findOperator(reader) === 'Relu' ? reader.outputs[0]! : name!;
  };
  const convolutions = new Set<Node>();
  const ranges = new Map<string, string>();
  for (const node of nodes) {
    const operator = findOperator(node);
    const [input, ...others] = node.inputs as [string, ...string[]];
    const result = resultOf(node);
    if (operator === 'Conv') {
      const reader = onlyReader(node.outputs[0]!);
      const isInner = reader && ['Relu', 'Add'].includes(findOperator(reader) ?? '');
      if (!isInner || !others.every((name) => graph.initializers.has(name))) continue;
      convolutions.add(node);
      if (!ranges.has(input)) ranges.set(input, input);
      ranges.set(result, result);
    } else if ((operator === 'MaxPool' || operator === 'Resize') && ranges.has(input)) {
      ranges.set(result, ranges.get(input)!);
    } else if (operator === 'Add' && node.inputs.every((name) => ranges.has(name))) {
      ranges.set(result, result);
    }
  }
  return { convolutions, ranges };
}

const highName = (name: string) => `${name}.high`;
const negatedLowName = (name: string) => `${name}.negated_low`;

/** Reads the ranges of one run of {@link observed}. */
export const rangesOf = (outputs: Readonly<Record<string, { readonly data: ArrayLike<unknown> }>>) =>
  new Map<string, Range>(
    Object.keys(outputs).flatMap((output) => {
      if (!output.endsWith('.high')) return [];
      const name = output.slice(0, -'.high'.length);
      const of = (output: string) => Number(outputs[output]!.data[0]);
      return [[name, { low: -of(negatedLowName(name)), high: of(highName(name)) }]];
    }),
  );

/** The same graph, whose outputs are the ranges of all values that must be known before it is quantised. */
export function observed(graph: Graph): Graph {
  const { ranges } = planOf(graph);
  const g = new GraphBuilder(graph.name);
  const read = copyNodes(g, graph, (node, value) =>
    g.copy(
      node,
      node.inputs.map((name) => (name === '' ? null : value(name))),
      graph.opsets,
    ),
  );
  for (const name of new Set(ranges.values())) {
    const value = read(name);
    const axes = g.integers(value.shape.map((_, axis) => axis));
    const largest = (of: Value) => g.add('ReduceMax', [of, axes], { keepdims: 0 });
    g.output(highName(name), largest(value));
    g.output(negatedLowName(name), largest(g.add('Neg', [value])));
  }
  return g.build();
}

/** Makes the needed nodes again; stored tensors are added once they are read. @returns how values are found by name */
function copyNodes(
  g: GraphBuilder,
  graph: Graph,
  copy: (node: Node, read: (name: string) => Value) => readonly Value[],
): (name: string) => Value {
  const values = new Map<string, Value>();
  for (const { name, type, shape } of graph.inputs) values.set(name, g.input(name, type, shape));
  const read = (name: string): Value => {
    const known = values.get(name) ?? g.initializer(name, graph.initializers.get(name)!);
    values.set(name, known);
    return known;
  };
  g.reserve([...graph.initializers.keys(), ...graph.nodes.flatMap((node) => node.outputs)]);
  for (const node of needed(graph)) {
    const results = copy(node, read);
    for (const [i, name] of node.outputs.entries()) values.set(name, results[i]!);
  }
  return read;
}

/** uint8 for a range, widened to hold 0 exactly. */
function parametersOf({ low, high }: Range): { scale: number; zero: number } {
  const [least, most] = [Math.min(0, low), Math.max(0, high)];
  const scale = Math.fround((most - least) / 255) || 1;
  return { scale, zero: Math.round(-least / scale) };
}

/**
 * Processors without VNNI add two products of a uint8 and an int8 in 16 bits, and cut off what is too large: with weights of 7 bits,
 * 2 · 255 · 64 = 32,640 fits.
 */
const LARGEST_WEIGHT = 64;

/** Half of what 32 bits hold. */
const LARGEST_BIAS = 2 ** 30;

/**
 * int8 [K, …] and a scale for each of the K channels.
 * @param bias of as many channels, which is counted in the steps of weights times inputs
 * @param inputStep of the input's scale
 */
function quantisedWeights(
  { shape, data }: Tensor,
  bias: Float32Array | undefined,
  inputStep: number,
): { data: Int8Array; scales: Float32Array } {
  const values = data as Float32Array;
  const channels = shape[0]!;
  const each = sizeOf(shape) / channels;
  const scales = new Float32Array(channels);
  const quantised = new Int8Array(values.length);
  for (let k = 0; k < channels; k++) {
    const own = values.subarray(k * each, (k + 1) * each);
    const fitting = own.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / LARGEST_WEIGHT;
    // Beside a bias that large, weights are nothing.
    const least = Math.abs(bias?.[k] ?? 0) / (LARGEST_BIAS * inputStep);
    const scale = Math.fround(Math.max(fitting, least)) || 1;
    scales[k] = scale;
    for (const [i, v] of own.entries()) quantised[k * each + i] = Math.round(v / scale);
  }
  return { data: quantised, scales };
}

/**
 * @param observations ranges of {@link observed} for the same graph, over images such as those that it will see
 * @throws GraphError for an operator that is unknown
 */
export function quantised(graph: Graph, observations: ReadonlyMap<string, Range>): Graph {
  const { convolutions, ranges } = planOf(graph);
  const g = new GraphBuilder(graph.name);
  const parameters = (name: string) => parametersOf(observations.get(ranges.get(name)!)!);
  const done = new Map<Value, Value>();
  /** A value as it is after it was stored in 8 bits. */
  const stored = (name: string, value: Value): Value => {
    if (!ranges.has(name)) return value;
    const known = done.get(value);
    if (known) return known;
    const { scale, zero } = parameters(name);
    const shared = [
      g.scalar(scale, 'float32'),
      g.constant({ type: 'uint8', shape: [], data: Uint8Array.of(zero) }),
    ] as const;
    const made = g.add('DequantizeLinear', [g.add('QuantizeLinear', [value, ...shared]), ...shared]);
    done.set(value, made);
    return made;
  };
  const channelwise = (name: string, tensor: Tensor, scales: Float32Array): Value => {
    const each = { type: 'float32', shape: [scales.length], data: scales } as const;
    const zeros = {
      type: tensor.type,
      shape: each.shape,
      data: tensor.data.slice(0, scales.length).fill(0 as never),
    };
    const inputs = [g.initializer(name, tensor), g.constant(each), g.constant(zeros)];
    return g.add('DequantizeLinear', inputs, { axis: 0 });
  };
  const convolve = (node: Node, x: Value): Value[] => {
    const [input, weightName, biasName] = node.inputs as [string, string, string?];
    const weight = graph.initializers.get(weightName)!;
    const bias = graph.initializers.get(biasName ?? '')?.data as Float32Array | undefined;
    const { data, scales } = quantisedWeights(weight, bias, parameters(input).scale);
    const w = channelwise(`${weightName}.int8`, { type: 'int8', shape: weight.shape, data }, scales);
    if (!bias) return g.copy(node, [x, w], graph.opsets);
    const steps = scales.map((scale) => scale * parameters(input).scale);
    const tensor = {
      type: 'int32',
      shape: [bias.length],
      data: Int32Array.from(bias, (v, k) => Math.round(v / steps[k]!)),
    } as const;
    return g.copy(node, [x, w, channelwise(`${biasName}.int32`, tensor, steps)], graph.opsets);
  };
  const read = copyNodes(g, graph, (node, value) => {
    const input = (name: string) => stored(name, value(name));
    if (convolutions.has(node)) return convolve(node, input(node.inputs[0]!));
    return g.copy(
      node,
      node.inputs.map((name) => (name === '' ? null : input(name))),
      graph.opsets,
    );
  });
  for (const { name } of graph.outputs) g.output(name, read(name));
  return g.build();
}
