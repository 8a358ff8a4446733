import type { NetworkBuilder } from '../nn/module.js';
import type { Value } from '../onnx/types.js';

/** What a network makes of a batch. Each is added to the graph when it is asked for. */
export interface Outcome {
  /** How wrong it is: a scalar, which training makes smaller. */
  readonly loss: () => Value;
  /** What an evaluation returns, by name; among them `loss` [N], sample by sample. */
  readonly outputs: () => Readonly<Record<string, Value>>;
}

/**
 * Something that a network can be trained for: adds the inputs and the network to `net.g`. Training, gradient and
 * evaluation graphs are made of any of them (`graphs/programs`).
 */
export type Task = (net: NetworkBuilder) => Outcome;
