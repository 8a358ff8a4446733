/**
 * A graph that stores its kernels in float16, and computes in float32 as before: half the size, at the same speed, as runtimes cast
 * stored tensors once.
 *
 * - All that {@link rebuild} promises.
 * - Kernels are stored float32 tensors with two axes or more. All else, such as biases, stays as it is.
 * - A kernel's value beyond 65,504 becomes infinite.
 */
import type { GraphBuilder } from '../onnx/builder.js';
import { toFloat16 } from '../onnx/float16.js';
import { type Graph, type Tensor, TYPE_CODES, type Value } from '../onnx/types.js';
import { rebuild } from './rebuild.js';

/** Whether a tensor is stored in float16. */
export const isKernel = ({ type, shape }: Pick<Tensor, 'type' | 'shape'>): boolean =>
  type === 'float32' && shape.length > 1;

function store(g: GraphBuilder, name: string, tensor: Tensor): Value {
  if (!isKernel(tensor)) return g.initializer(name, tensor);
  const data = toFloat16(tensor.data as Float32Array);
  const half = g.initializer(name, { ...tensor, type: 'float16', data });
  return g.add('Cast', [half], { to: TYPE_CODES.float32 });
}

/** @throws GraphError for an operator that is unknown */
export const halfWeights = (graph: Graph): Graph => rebuild(graph, (input) => input, store);
