import { arrayOf, type Graph, sizeOf } from './types.js';

/**
 * Bytes that the results of a graph's operators take at once, where each is kept from its operator until its last use, and
 * outputs until the end: what a runtime needs at least beside inputs and weights. All sizes must be numbers.
 */
export function peakBytes({ nodes, outputs, values }: Graph): number {
  const bytesOf = (name: string): number => {
    const value = values.get(name);
    return value ? sizeOf(value.shape as number[]) * arrayOf(value.type).BYTES_PER_ELEMENT : 0;
  };
  const kept = new Set(outputs.map(({ name }) => name));
  const lastUse = new Map<string, number>();
  for (const [i, node] of nodes.entries())
    for (const name of [...node.outputs, ...node.inputs]) lastUse.set(name, i);
  const made = new Set<string>();
  let live = 0;
  let peak = 0;
  for (const [i, node] of nodes.entries()) {
    for (const name of node.outputs) {
      made.add(name);
      live += bytesOf(name);
    }
    peak = Math.max(peak, live);
    for (const name of new Set([...node.outputs, ...node.inputs]))
      if (made.has(name) && lastUse.get(name) === i && !kept.has(name)) live -= bytesOf(name);
  }
  return peak;
}
