import type { Value } from '../onnx/types.js';

/** What a sample is made into: the network's input and its target, both [N,1,D,H,W] in [0, 1]. */
export interface Sample {
  /** What is left of the whole: a part of it, or a corrupted copy. */
  readonly part: Value;
  readonly whole: Value;
}
