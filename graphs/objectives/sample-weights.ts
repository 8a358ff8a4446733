import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/types.js';

/** The input `sample_weight` float32 [N]: how much each sample counts; 0 for those that only fill up a batch. */
export const sampleWeights = (g: GraphBuilder, batch: number): Value =>
  g.input('sample_weight', g.float, [batch]);
