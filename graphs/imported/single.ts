/** A model in half precision as one of single precision, which it is trained in. */
import { brainToNumber, halfToNumber } from '../onnx/float16.js';
import { type Attribute, type Graph, type Node, type Tensor, TYPE_CODES, type Value } from '../onnx/types.js';

const HALVES: ReadonlySet<string> = new Set(['float16', 'bfloat16']);
const HALF_CODES: readonly number[] = [TYPE_CODES.float16, TYPE_CODES.bfloat16];
/** Attributes that hold an element type. */
const TYPE_ATTRIBUTES: ReadonlySet<string> = new Set(['to', 'dtype']);

const single = <T extends Tensor | Value>(of: T): T =>
  HALVES.has(of.type) ? { ...of, type: 'float32' } : of;

export function singleTensor(tensor: Tensor): Tensor {
  if (!HALVES.has(tensor.type)) return tensor;
  const wide = tensor.type === 'float16' ? halfToNumber : brainToNumber;
  return { type: 'float32', shape: tensor.shape, data: Float32Array.from(tensor.data as Uint16Array, wide) };
}

function singleAttribute(name: string, attribute: Attribute): Attribute {
  switch (attribute.kind) {
    case 'tensor':
      return { kind: 'tensor', value: singleTensor(attribute.value) };
    case 'graph':
      return { kind: 'graph', value: singlePrecision(attribute.value) };
    case 'int':
      return TYPE_ATTRIBUTES.has(name) && HALF_CODES.includes(attribute.value)
        ? { kind: 'int', value: TYPE_CODES.float32 }
        : attribute;
    default:
      return attribute;
  }
}

export const singleNode = (node: Node): Node => ({
  ...node,
  attributes: Object.fromEntries(
    Object.entries(node.attributes).map(([name, attribute]) => [name, singleAttribute(name, attribute)]),
  ),
});

/** The graph with float32 in place of float16 and bfloat16, in its bodies too. */
export const singlePrecision = (graph: Graph): Graph => ({
  ...graph,
  inputs: graph.inputs.map(single),
  outputs: graph.outputs.map(single),
  nodes: graph.nodes.map(singleNode),
  initializers: new Map([...graph.initializers].map(([name, tensor]) => [name, singleTensor(tensor)])),
  values: new Map([...graph.values].map(([name, value]) => [name, single(value)])),
});
