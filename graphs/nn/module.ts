import type { GraphBuilder } from '../onnx/builder.js';
import { GraphError, type Value } from '../onnx/types.js';

/** How a parameter starts. */
export type Initializer =
  | { readonly kind: 'glorotUniform'; readonly fanIn: number; readonly fanOut: number }
  | { readonly kind: 'constant'; readonly value: number };

/** A tensor that belongs to a network: a trained weight, or a running statistic. All are float32. */
export interface Parameter {
  /** Stable and dotted, the same in graphs, checkpoints and exports: `encoder.0.conv1.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly initializer: Initializer;
  /** False for running statistics, which the forward pass updates instead of the optimiser. */
  readonly trainable: boolean;
}

/**
 * What a network is built for.
 * - `training`: BatchNorm normalises by the batch and updates its running statistics; parameters are inputs.
 * - `evaluation`: BatchNorm as the options say; parameters are inputs, so that one session serves all checkpoints.
 * - a map of trained values: BatchNorm is folded into the convolution before it, weights are stored in the graph.
 */
export type Purpose = 'training' | 'evaluation' | ReadonlyMap<string, Float32Array>;

/** What the layers of one network share while it is built. */
export class NetworkBuilder {
  /** In the order in which checkpoints list them. */
  readonly parameters: Parameter[] = [];
  readonly values = new Map<string, Value>();
  /** New values of running statistics, by parameter name. */
  readonly statistics = new Map<string, Value>();

  constructor(
    readonly g: GraphBuilder,
    readonly purpose: Purpose,
  ) {}

  /** Declares a parameter: an input of the graph, or a stored weight. @throws GraphError when its values are missing. */
  parameter(name: string, shape: readonly number[], initializer: Initializer, trainable = true): Value {
    this.parameters.push({ name, shape, initializer, trainable });
    const value =
      typeof this.purpose === 'string'
        ? this.g.input(name, 'float32', shape)
        : this.g.initializer(name, { type: 'float32', shape, data: this.trained(name) });
    this.values.set(name, value);
    return value;
  }

  /** The values of a trained tensor. */
  trained(name: string): Float32Array {
    const data = typeof this.purpose === 'string' ? undefined : this.purpose.get(name);
    if (!data) throw new GraphError(`the trained values have no tensor "${name}"`);
    return data;
  }
}
