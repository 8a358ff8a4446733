/**
 * Convolutions with fewer output channels than a block of the blocked layout, filled up to one with channels of zeros, so that
 * the forms in that layout can take them.
 *
 * - Only what one other convolution reads is padded, and that convolution's weights are: all other values stay the same.
 * - Weights and biases must be stored, with all shapes known.
 */
import { findOperator } from '../onnx/registry.js';
import { type Graph, type Node, sizeOf, type Tensor } from '../onnx/types.js';
import { useCounts } from './needed.js';

/** Zeros behind the values along one axis, up to a length. */
function padded({ type, shape, data }: Tensor, axis: number, length: number): Tensor {
  const [outer, inner] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))];
  const larger = shape.with(axis, length);
  const row = sizeOf(larger.slice(axis));
  const values = new Float32Array(outer * row);
  for (let i = 0; i < outer; i++)
    values.set((data as Float32Array).subarray(i * inner, (i + 1) * inner), i * row);
  return { type, shape: larger, data: values };
}

/** @param block channels in a block */
export function padChannels(graph: Graph, block: number): Graph {
  const uses = useCounts(graph);
  const initializers = new Map(graph.initializers);
  const values = new Map(graph.values);
  const isConvolution = (node: Node): boolean => {
    const operator = findOperator(node);
    const stored = node.inputs.slice(1).every((name) => initializers.has(name) && uses.get(name) === 1);
    return (
      (operator === 'Conv' || operator === 'ConvRelu') && stored && (node.attributes.group?.value ?? 1) === 1
    );
  };
  const pad = (name: string, axis: number) => {
    const tensor = padded(initializers.get(name)!, axis, block);
    initializers.set(name, tensor);
    values.set(name, { name, type: tensor.type, shape: tensor.shape });
  };

  const convolutions = graph.nodes.filter(isConvolution);
  for (const { outputs, inputs } of convolutions) {
    const [name] = outputs as [string];
    const result = values.get(name)!;
    const reader = convolutions.find((node) => node.inputs[0] === name);
    if (!reader || uses.get(name) !== 1 || (result.shape[1] as number) >= block) continue;
    for (const weight of inputs.slice(1)) pad(weight, 0);
    pad(reader.inputs[1]!, 1);
    values.set(name, { ...result, shape: result.shape.with(1, block) });
  }
  return { ...graph, initializers, values };
}
