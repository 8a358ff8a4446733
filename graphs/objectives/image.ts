import { type DHW, type HuWindow, normaliseHu } from '../nn/input.js';
import { asFloat } from '../onnx/blocks.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/types.js';

/** The images of a target task. */
export interface ImageOptions {
  readonly batch: number;
  readonly channels: number;
  readonly size: DHW;
  readonly inputType: 'int16' | 'float32';
  /** Mapped to [0, 1] in the graph, for HU; null takes values as they are, for images that were normalised before. */
  readonly window: HuWindow | null;
}

/** The input `image` [N,C,D,H,W], normalised. */
export function imageInput(
  g: GraphBuilder,
  { batch, channels, size, inputType, window }: ImageOptions,
): Value {
  const image = g.input('image', inputType, [batch, channels, ...size]);
  return g.scope('image', () => (window ? normaliseHu(g, image, window) : asFloat(g, image)));
}
