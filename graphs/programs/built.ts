import type { Parameter } from '../nn/module.js';
import type { Graph } from '../onnx/types.js';

/** A graph, not lowered yet, and the parameters of its network. */
export interface BuiltGraph {
  readonly graph: Graph;
  readonly parameters: readonly Parameter[];
  /** Share of each running statistic that an update keeps, by name, where micro-batches of several processes are added up. */
  readonly momenta?: ReadonlyMap<string, number>;
}

/** Name of an optimiser's state tensor. */
export const slotName = (slot: string, parameter: string): string => `optimizer.${slot}.${parameter}`;
/** Name of the new value of a tensor that a step takes and returns. */
export const nextName = (name: string): string => `${name}.next`;
/** Name of a parameter's gradient, or of the sum of several micro-batches' gradients. */
export const gradientName = (parameter: string): string => `gradient:${parameter}`;
