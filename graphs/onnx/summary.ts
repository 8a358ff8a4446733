import { attributesOf } from './attributes.js';
import { findOperator } from './registry.js';
import { arrayOf, type Graph, type Node, type Shape, sizeOf, type Value } from './types.js';

/** What one layer costs; a layer is the part of a node's name before the operator. */
export interface LayerSummary {
  readonly layer: string;
  readonly operators: readonly string[];
  /** Shape of the layer's last value. */
  readonly shape: Shape;
  /** Multiplications and additions, counted apart: 2 a product-sum. */
  readonly flops: number;
  /** Bytes of all values that the layer makes; not of those that are others in another shape. */
  readonly activationBytes: number;
}

export interface GraphSummary {
  readonly nodes: number;
  readonly layers: readonly LayerSummary[];
  readonly flops: number;
  readonly activationBytes: number;
  /** How many nodes there are of each operator. */
  readonly operators: Readonly<Record<string, number>>;
}

const known = (value: Value | undefined): number[] =>
  value?.shape.map((d) => (typeof d === 'number' ? d : Number.NaN)) ?? [];
const bytesOf = (value: Value) => sizeOf(known(value)) * arrayOf(value.type).BYTES_PER_ELEMENT;

/** What only sees a value in another shape: it neither calculates nor moves. */
const VIEWS: ReadonlySet<string | undefined> = new Set(['Reshape', 'Identity', 'Squeeze', 'Unsqueeze']);

/** Operations of one node: exact for products and convolutions, one a value for the rest. */
export function flopsOf(node: Node, values: Graph['values']): number {
  const [a, b] = node.inputs.map((name) => known(values.get(name)));
  const output = known(values.get(node.outputs[0]!));
  const operator = findOperator(node);
  if (VIEWS.has(operator)) return 0;
  switch (operator) {
    case 'Conv':
    case 'BlockedConv':
    case 'UpsampleConv':
      return 2 * sizeOf(output) * sizeOf(b!.slice(1));
    case 'ConvTranspose':
      return 2 * sizeOf(a!) * sizeOf(b!.slice(1));
    case 'ConvInputGrad':
    case 'UpsampleConvInputGrad':
      return 2 * sizeOf(a!) * sizeOf(b!.slice(1));
    case 'ConvWeightGrad':
    case 'UpsampleConvWeightGrad':
      return 2 * sizeOf(b!) * sizeOf(output.slice(1));
    case 'MatMul':
    case 'FusedMatMul':
    case 'Gemm': {
      const inner = operator !== 'MatMul' && attributesOf(node, operator).transA ? a!.at(-2)! : a!.at(-1)!;
      return 2 * sizeOf(output) * inner;
    }
    default:
      return node.outputs.reduce((sum, name) => sum + sizeOf(known(values.get(name))), 0);
  }
}

/** Adds up a graph, layer by layer. Give it the graph before lowering for the cost of its high-level operators. */
export function summarize(graph: Graph): GraphSummary {
  const layers = new Map<
    string,
    { operators: string[]; shape: Shape; flops: number; activationBytes: number }
  >();
  const operators: Record<string, number> = {};
  for (const node of graph.nodes) {
    operators[node.operator] = (operators[node.operator] ?? 0) + 1;
    const cut = node.name.lastIndexOf('/');
    const layer = cut < 0 ? '' : node.name.slice(0, cut);
    const entry = layers.get(layer) ?? { operators: [], shape: [], flops: 0, activationBytes: 0 };
    const made = node.outputs.map((name) => graph.values.get(name)!);
    const moved = VIEWS.has(findOperator(node)) ? [] : made;
    layers.set(layer, {
      operators: [...entry.operators, node.operator],
      shape: made[0]!.shape,
      flops: entry.flops + flopsOf(node, graph.values),
      activationBytes: entry.activationBytes + moved.reduce((sum, value) => sum + bytesOf(value), 0),
    });
  }
  const list = [...layers].map(([layer, entry]) => ({ layer: layer || '(top)', ...entry }));
  return {
    nodes: graph.nodes.length,
    layers: list,
    flops: list.reduce((sum, l) => sum + l.flops, 0),
    activationBytes: list.reduce((sum, l) => sum + l.activationBytes, 0),
    operators,
  };
}
