import type { DHW } from '../nn/input.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/types.js';
import type { Sample } from './sample.js';

export interface GenesisOptions {
  readonly batch: number;
  /** Size of the images. */
  readonly whole: DHW;
}

/**
 * Models Genesis' task: a corrupted image goes in, the image is to come out. Inputs of the graph: `corrupted` and
 * `target`, float32 [N,D,H,W] in [0, 1]; images are corrupted where they are read.
 */
export function genesis(g: GraphBuilder, { batch, whole }: GenesisOptions): Sample {
  const image = (name: string): Value =>
    g.add('Unsqueeze', [g.input(name, g.float, [batch, ...whole]), g.integers([1])]);
  return { part: image('corrupted'), whole: image('target') };
}
