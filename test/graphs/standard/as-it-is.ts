import { encodeModel } from '../../../graphs/onnx/schema.js';
import {
  type Attribute,
  type ElementType,
  type Graph,
  sizeOf,
  type Tensor,
} from '../../../graphs/onnx/types.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { noise } from '../run.js';
import type { NodeTest } from './cases.js';

export const int = (value: number): Attribute => ({ kind: 'int', value });
export const ints = (...value: number[]): Attribute => ({ kind: 'ints', value });
export const float = (value: number): Attribute => ({ kind: 'float', value });
export const floats = (...value: number[]): Attribute => ({ kind: 'floats', value });
export const text = (value: string): Attribute => ({ kind: 'string', value });

/** Random floats between −1 and 1, moved by `offset`. */
export const random = (shape: readonly number[], seed = 1, offset = 0): Tensor => ({
  type: 'float32',
  shape,
  data: noise(sizeOf(shape), seed, 1, offset),
});
export const numbers = (...values: number[]): Tensor => ({
  type: 'float32',
  shape: [values.length],
  data: Float32Array.from(values),
});
export const integers = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor => ({
  type: 'int64',
  shape,
  data: BigInt64Array.from(values, BigInt),
});

/**
 * A node as a test: what it must give is what ONNX Runtime, which knows all versions of the standard, makes of it as it is.
 * @param outputs the type of each one that is wanted
 */
export async function asItIs(
  opset: number,
  operator: string,
  inputs: readonly (Tensor | null)[],
  attributes: Readonly<Record<string, Attribute>> = {},
  outputs: readonly ElementType[] = ['float32'],
): Promise<NodeTest> {
  const names = inputs.map((tensor, i) => (tensor ? `x${i}` : ''));
  const given = new Map(inputs.flatMap((tensor, i) => (tensor ? [[names[i]!, tensor] as const] : [])));
  const results = outputs.map((_, i) => `y${i}`);
  const node = { name: 'node', operator, domain: '', inputs: names, outputs: results, attributes };
  const graph: Graph = {
    name: operator,
    inputs: [],
    outputs: results.map((name, i) => ({ name, type: outputs[i]!, shape: [] })),
    nodes: [node],
    initializers: given,
    values: new Map(),
  };
  const model = encodeModel({
    graph,
    irVersion: 8,
    opsets: { '': opset },
    producer: { name: '', version: '' },
    documentation: '',
    metadata: {},
  });
  const session = await nodeEngine.load(model, { threads: 1, rewrite: 'nothing' });
  try {
    const made = await session.run({});
    const expected = results.map((name) => made[name] as Tensor);
    return { name: operator, node, opset, inputs: given, expected, isHalf: false };
  } finally {
    await session.release();
  }
}
