import type { ElementType, Graph, Value } from '../onnx/types.js';

const WHOLE: ReadonlySet<ElementType> = new Set(['int16', 'uint8']);

/**
 * The same graph with float32 in place of int16 and uint8 inputs, whose values floats hold exactly: ONNX Runtime on WebGPU
 * cannot cast them. Casts of what is float32 already cost nothing.
 */
export function floatInputs(graph: Graph): Graph {
  const asFloat = (value: Value): Value => (WHOLE.has(value.type) ? { ...value, type: 'float32' } : value);
  const inputs = graph.inputs.map(asFloat);
  return { ...graph, inputs, values: new Map([...graph.values, ...inputs.map((v) => [v.name, v] as const)]) };
}
