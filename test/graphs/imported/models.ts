/** Small models of the standard, written as files. */
import onnxProto from 'onnx-proto';
import { importModel } from '../../../graphs/imported/import-model.js';
import type { ImportOptions } from '../../../graphs/index.js';
import { encodeModel } from '../../../graphs/onnx/schema.js';
import type { Attribute, Graph, Node, Tensor, Value } from '../../../graphs/onnx/types.js';
import { noise } from '../run.js';

export const node = (
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
  domain = '',
): Node => ({ name: outputs[0]!, operator, domain, inputs, outputs, attributes });

export const value = (name: string, shape: Value['shape'], type: Value['type'] = 'float32'): Value => ({
  name,
  type,
  shape,
});

export const weight = (shape: readonly number[], seed: number): Tensor => ({
  type: 'float32',
  shape,
  data: noise(
    shape.reduce((a, b) => a * b, 1),
    seed,
  ),
});
export const filled = (shape: readonly number[], number: number): Tensor => ({
  type: 'float32',
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(number),
});
export const integers = (...values: number[]): Tensor => ({
  type: 'int64',
  shape: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
export const int = (number: number): Attribute => ({ kind: 'int', value: number });

export interface Parts {
  readonly inputs: readonly Value[];
  readonly outputs: readonly string[];
  readonly nodes: readonly Node[];
  readonly tensors?: Readonly<Record<string, Tensor>>;
  readonly opset?: number;
  readonly producer?: string;
}

export const graphOf = ({ inputs, outputs, nodes, tensors = {} }: Parts): Graph => ({
  name: 'g',
  inputs,
  outputs: outputs.map((name) => value(name, [])),
  nodes,
  initializers: new Map(Object.entries(tensors)),
  values: new Map(),
});

/** The bytes of a file. */
export const modelOf = (parts: Parts): Uint8Array =>
  encodeModel({
    graph: graphOf(parts),
    irVersion: 8,
    opsets: { '': parts.opset ?? 18 },
    producer: { name: parts.producer ?? 'test', version: '1' },
    documentation: '',
    metadata: {},
  });

/** The bytes of a file that does not say how many axes an input or output has. */
export function unranked(parts: Parts, name: string): Uint8Array {
  const message = onnxProto.onnx.ModelProto.decode(modelOf(parts));
  const { input, output } = message.graph!;
  const value = [...input!, ...output!].find((one) => one.name === name)!;
  value.type!.tensorType!.shape = null;
  return onnxProto.onnx.ModelProto.encode(message).finish();
}

/** x [batch,3] → y [batch,2]: two linear layers with a ReLU in between. */
export const perceptron: Parts = {
  inputs: [value('x', ['batch', 3])],
  outputs: ['y'],
  nodes: [
    node('Gemm', ['x', 'first.weight', 'first.bias'], ['h']),
    node('Relu', ['h'], ['r']),
    node('MatMul', ['r', 'second.weight'], ['m']),
    node('Add', ['m', 'second.bias'], ['y']),
  ],
  tensors: {
    'first.weight': weight([3, 4], 1),
    'first.bias': weight([4], 2),
    'second.weight': weight([4, 2], 3),
    'second.bias': weight([2], 4),
  },
};

/** Import options that fix the size of its batch. */
export const batch = { inputs: { x: [5, 3] } };

export const names = (tensors: readonly { readonly name: string }[]) => tensors.map(({ name }) => name);
/** The names of the tensors of a model that are trained. */
export const trainedOf = (parts: Parts, options: ImportOptions = {}) =>
  names(importModel(modelOf(parts), options).report.trained);
