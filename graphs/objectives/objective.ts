import type { NetworkBuilder } from '../nn/module.js';
import type { Value } from '../onnx/types.js';

/** What an objective makes of a batch. Each is added to the graph when it is asked for. */
export interface LossAndOutputs {
  /** A scalar, which training makes smaller. */
  readonly loss: () => Value;
  /** What an evaluation returns, by name; among them `loss` [N], sample by sample. */
  readonly outputs: () => Readonly<Record<string, Value>>;
}

/**
 * A training objective: adds the inputs and the network to `net.g`, and says what the loss is. Training, gradient and
 * evaluation graphs are built of any objective (`graphs/programs`).
 */
export type Objective = (net: NetworkBuilder) => LossAndOutputs;
