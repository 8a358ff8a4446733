import { canRemake } from '../autodiff/recompute.js';
import { findOperator } from '../onnx/registry.js';
import { flopsOf } from '../onnx/summary.js';
import { arrayOf, type Graph, GraphError, type Node, sizeOf } from '../onnx/types.js';

/**
 * What is computed again of a convolution with its normalisation: the activation alone, from what was normalised, or also the
 * convolution itself, from the layer's input.
 */
export const RECOMPUTED = ['activation', 'layer'] as const;
export type Recomputed = (typeof RECOMPUTED)[number];

/** By layer, such as `encoder.0.1`; of all others everything is kept. */
export type RecomputePlan = Readonly<Record<string, Recomputed>>;

/** One thing that may be computed again. */
export interface Saving {
  readonly layer: string;
  readonly recomputed: Recomputed;
  /** What need not be kept for it, beyond what another saving of the layer says. */
  readonly bytes: number;
  readonly flops: number;
}

type Forward = Pick<Graph, 'nodes' | 'values'>;

const layerOf = ({ name }: Node): string => name.slice(0, Math.max(0, name.lastIndexOf('/')));
const isMap = ({ values }: Forward, name: string): boolean => values.get(name)?.shape.length === 5;

/** Layers with a normalisation, and their nodes that make feature maps. */
function layersOf(graph: Forward): Map<string, { norm: Node; others: Node[] }> {
  const norms = graph.nodes.filter((node) => findOperator(node) === 'BatchNorm');
  const layers = new Map(norms.map((norm) => [layerOf(norm), { norm, others: [] as Node[] }]));
  for (const node of graph.nodes) {
    const layer = layers.get(layerOf(node));
    if (layer && node !== layer.norm && canRemake(node) && isMap(graph, node.outputs[0]!))
      layer.others.push(node);
  }
  return layers;
}

/** Names of the values of a forward pass that are not kept for the backward pass. @throws GraphError for an unknown layer */
export function forgottenValues(graph: Forward, plan: RecomputePlan): Set<string> {
  const layers = layersOf(graph);
  return new Set(
    Object.entries(plan).flatMap(([name, recomputed]) => {
      const layer = layers.get(name);
      if (!layer)
        throw new GraphError(
          `there is no layer "${name}" to recompute, only ${[...layers.keys()].join(', ') || 'none'}`,
        );
      const [activation, , , centred] = layer.norm.outputs;
      return recomputed === 'activation'
        ? [activation!]
        : [activation!, centred!, ...layer.others.flatMap((node) => node.outputs)];
    }),
  );
}

/** All that could be computed again of a forward pass, most bytes saved per operation first. */
export function savings(graph: Forward): Saving[] {
  const found = [...layersOf(graph)].flatMap(([layer, { norm, others }]): Saving[] => {
    const value = graph.values.get(norm.outputs[0]!)!;
    const values = sizeOf(value.shape as number[]);
    const bytes = values * arrayOf(value.type).BYTES_PER_ELEMENT;
    const flops = others.reduce((sum, node) => sum + flopsOf(node, graph.values), 0);
    return [
      { layer, recomputed: 'activation', bytes, flops: 2 * values },
      { layer, recomputed: 'layer', bytes, flops: flops + 2 * values },
    ];
  });
  return found.sort((a, b) => b.bytes / b.flops - a.bytes / a.flops);
}

/** What some savings say of each layer; the later one of a layer holds. */
export const planOf = (chosen: readonly Saving[]): RecomputePlan =>
  Object.fromEntries(chosen.map(({ layer, recomputed }) => [layer, recomputed]));
