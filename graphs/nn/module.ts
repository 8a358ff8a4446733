import type { GraphBuilder } from '../onnx/builder.js';
import { arrayOf, GraphError, type Value } from '../onnx/types.js';

/** How a parameter starts. */
export type Initializer =
  | { readonly kind: 'glorotUniform'; readonly fanIn: number; readonly fanOut: number }
  | { readonly kind: 'constant'; readonly value: number }
  /** As it is in a model that was imported. */
  | { readonly kind: 'given'; readonly values: Float32Array };

/** A tensor that belongs to a network: a trained weight, or a running statistic, in the graph's float type. */
export interface Parameter {
  /** Stable and dotted, the same in graphs, checkpoints and exports: `encoder.0.conv1.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly initializer: Initializer;
  /** False for what the optimiser leaves alone: running statistics, and all that is frozen. */
  readonly trainable: boolean;
  /** By what the learning rate is multiplied for it, if it is trained. */
  readonly rate: number;
}

/** What a batch says of a running statistic. */
export interface Statistic {
  readonly now: Value;
  /** Share of the old value that an update keeps (Keras' and ONNX's convention: PyTorch's momentum is 1 − this). */
  readonly momentum: number;
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
  /** What the batch says of running statistics, by parameter name. */
  readonly statistics = new Map<string, Statistic>();
  #frozen = false;
  #rate = 1;

  readonly #purpose: Purpose;

  /** @param given values of parameters that are not inputs of the graph by themselves, by name */
  constructor(
    readonly g: GraphBuilder,
    purpose: Purpose,
    readonly given: ReadonlyMap<string, Value> = new Map(),
  ) {
    this.#purpose = purpose;
  }

  /** Frozen layers are built for evaluation, also where the rest is trained. */
  get purpose(): Purpose {
    return this.#frozen && this.#purpose === 'training' ? 'evaluation' : this.#purpose;
  }

  /** Builds layers that training leaves as they are: their parameters and running statistics are not updated. */
  frozen<T>(build: () => T): T {
    const outer = this.#frozen;
    this.#frozen = true;
    try {
      return build();
    } finally {
      this.#frozen = outer;
    }
  }

  /** Builds layers whose parameters are trained at this share of the learning rate. */
  atRate<T>(rate: number, build: () => T): T {
    const outer = this.#rate;
    this.#rate = outer * rate;
    try {
      return build();
    } finally {
      this.#rate = outer;
    }
  }

  /** Declares a parameter: an input of the graph, or a stored weight. @throws GraphError when its values are missing. */
  parameter(name: string, shape: readonly number[], initializer: Initializer, trainable = true): Value {
    const isTrained = trainable && !this.#frozen;
    this.parameters.push({ name, shape, initializer, trainable: isTrained, rate: this.#rate });
    const value =
      typeof this.purpose === 'string'
        ? (this.given.get(name) ?? this.g.input(name, this.g.float, shape))
        : this.stored(name, shape, this.trained(name));
    this.values.set(name, value);
    return value;
  }

  /** A stored weight. */
  stored(name: string, shape: readonly number[], values: Float32Array): Value {
    const { float } = this.g;
    return this.g.initializer(name, { type: float, shape, data: arrayOf(float).from(values) });
  }

  /** The values of a trained tensor. */
  trained(name: string): Float32Array {
    const data = typeof this.purpose === 'string' ? undefined : this.purpose.get(name);
    if (!data) throw new GraphError(`the trained values have no tensor "${name}"`);
    return data;
  }
}
