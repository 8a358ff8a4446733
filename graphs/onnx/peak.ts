/*
 * What ONNX Runtime's planner does with a graph, as far as memory depends on it: the order of nodes, and which values share a
 * buffer.
 */

import type { OperatorName } from './ops/index.js';
import { findOperator } from './registry.js';
import { arrayOf, type Graph, type Node, sizeOf, type Value } from './types.js';

/**
 * The order in which ONNX Runtime runs a graph: it goes from the last result backwards, each node's inputs before the node, of
 * several inputs the one that was added last first.
 */
export function executionOrder({ nodes }: Graph): Node[] {
  const makers = new Map<string, number>();
  for (const [i, { outputs }] of nodes.entries()) for (const name of outputs) makers.set(name, i);
  const read = new Set<number>();
  const sources = nodes.map(({ inputs }) => {
    const found = new Set<number>();
    for (const name of inputs) {
      const maker = makers.get(name);
      if (maker === undefined) continue;
      found.add(maker);
      read.add(maker);
    }
    return [...found].sort((a, b) => a - b);
  });
  const order: Node[] = [];
  const visited = new Set<number>();
  /** Nodes to visit; as complements those whose inputs have been. */
  const stack = [...nodes.keys()].filter((i) => !read.has(i));
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (next < 0) order.push(nodes[~next]!);
    else if (!visited.has(next)) {
      visited.add(next);
      stack.push(~next, ...sources[next]!);
    }
  }
  return order;
}

/** Operators whose result is their first input's memory. */
const VIEWS: ReadonlySet<OperatorName | undefined> = new Set(['Reshape', 'Squeeze', 'Unsqueeze', 'Identity']);
/** Operators that write their result over an input that nothing else reads, by the input's place. */
const IN_PLACE: Partial<Record<OperatorName, number>> = {
  BlockedConv: 3,
  Cast: 0,
  Clip: 0,
  LeakyRelu: 0,
  Relu: 0,
  Sigmoid: 0,
  Softplus: 0,
  Tanh: 0,
};

/** A piece of memory, which several values take in turn. */
interface Buffer {
  readonly bytes: number;
  readonly kind: string;
  /** Reads that are still to come of the value in it. */
  reads: number;
  readonly first: number;
  last: number;
}

/**
 * The most bytes that the results of a lowered graph's operators take at once, beside inputs and outputs, which are the
 * caller's. All sizes must be numbers.
 */
export function peakBytes(graph: Graph): number {
  const order = executionOrder(graph);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const reads = new Map<string, number>();
  for (const { inputs } of order) for (const name of inputs) reads.set(name, (reads.get(name) ?? 0) + 1);
  const bufferOf = new Map<string, Buffer>();
  const buffers: Buffer[] = [];
  /** By kind, in the order in which they became free. */
  const free = new Map<string, Buffer[]>();
  const itemBytes = ({ type }: Value) => arrayOf(type).BYTES_PER_ELEMENT;
  const kindOf = (value: Value) => `${itemBytes(value)}:${value.shape.join()}`;
  const take = (buffer: Buffer, name: string) => {
    buffer.reads += reads.get(name) ?? 0;
    bufferOf.set(name, buffer);
  };

  for (const [at, node] of order.entries()) {
    const operator = findOperator(node);
    for (const name of node.outputs) {
      if (name === '' || outputs.has(name)) continue;
      const value = graph.values.get(name)!;
      const kind = kindOf(value);
      if (VIEWS.has(operator)) {
        const viewed = bufferOf.get(node.inputs[0]!);
        if (viewed) take(viewed, name);
        continue;
      }
      const place = operator === undefined ? undefined : IN_PLACE[operator];
      const input = place === undefined ? undefined : bufferOf.get(node.inputs[place] ?? '');
      if (input?.reads === 1 && kindOf(graph.values.get(node.inputs[place!]!)!) === kind) {
        take(input, name);
        continue;
      }
      // Memory of the same shape that is not needed any more is kept for the next of that shape, however long that takes.
      let buffer = value.shape.length === 0 ? undefined : free.get(kind)?.pop();
      if (!buffer) {
        const bytes = sizeOf(value.shape as number[]) * itemBytes(value);
        buffer = { bytes, kind, reads: 0, first: at, last: at };
        buffers.push(buffer);
      }
      take(buffer, name);
    }
    for (const name of node.inputs) {
      const buffer = bufferOf.get(name);
      if (buffer) buffer.reads--;
    }
    const touched = new Set([...node.inputs, ...node.outputs].map((name) => bufferOf.get(name)));
    for (const buffer of touched) {
      if (!buffer) continue;
      buffer.last = at;
      if (buffer.reads > 0) continue;
      const same = free.get(buffer.kind);
      if (same) same.push(buffer);
      else free.set(buffer.kind, [buffer]);
    }
  }
  const change = new Float64Array(order.length + 1);
  for (const { bytes, first, last } of buffers) {
    change[first]! += bytes;
    change[last + 1]! -= bytes;
  }
  let live = 0;
  return change.reduce((peak, bytes) => {
    live += bytes;
    return Math.max(peak, live);
  }, 0);
}
