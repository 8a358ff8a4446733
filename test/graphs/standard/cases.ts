import { decodeModel } from '../../../graphs/onnx/schema.js';
import type { Graph, Node, Tensor } from '../../../graphs/onnx/types.js';
import { goldenPieces } from '../../golden/pieces.js';

/** One of the standard's own node tests. */
export interface NodeTest {
  readonly name: string;
  readonly node: Node;
  /** The version of the standard that it is written in. */
  readonly opset: number;
  /** What the node is given, by name; half precision as float32. */
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** What it must give, in order. */
  readonly expected: readonly Tensor[];
  /** Whether any of these is of half precision, which is computed in float32 here. */
  readonly isHalf: boolean;
}

const PREFIX = 'expected/';

/** The bits of float16 or bfloat16 as a number. */
function wide(bits: number, type: 'float16' | 'bfloat16'): number {
  if (type === 'bfloat16') return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
}

const isHalf = ({ type }: Tensor) => type === 'float16' || type === 'bfloat16';
const single = (tensor: Tensor): Tensor => {
  const { shape, data } = tensor;
  if (!isHalf(tensor)) return tensor;
  const type = tensor.type as 'float16' | 'bfloat16';
  return { type: 'float32', shape, data: Float32Array.from(data as Uint16Array, (bits) => wide(bits, type)) };
};

function nodeTest(bytes: Uint8Array): NodeTest {
  const { graph, opsets } = decodeModel(bytes) as { graph: Graph; opsets: Record<string, number> };
  const tensors = [...graph.initializers].map(([name, tensor]) => [name, single(tensor)] as const);
  return {
    name: graph.name,
    node: graph.nodes[0]!,
    opset: opsets['']!,
    inputs: new Map(tensors.filter(([name]) => !name.startsWith(PREFIX))),
    isHalf: [...graph.initializers.values()].some(isHalf),
    expected: graph.outputs.map(({ name }) => single(graph.initializers.get(PREFIX + name)!)),
  };
}

// Made by `golden/make_node_tests.py`.
const [head, ...models] = goldenPieces('node-tests.bin.gz');
/** The version of the standard's package, and how many cases were left out for which reason. */
export const { onnx: VERSION, leftOut } = JSON.parse(new TextDecoder().decode(head)) as {
  onnx: string;
  leftOut: Record<string, number>;
};
/** All cases, by name. */
export const nodeTests: readonly NodeTest[] = models.map(nodeTest);
