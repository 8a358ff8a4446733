/** Images of samples as the input of a network that was made elsewhere. */
import type { HuWindow } from '../nn/input.js';
import { asFloat } from '../onnx/blocks.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { TYPE_CODES, type Value } from '../onnx/types.js';

/** What becomes of images [N,C,D,H,W]: they are clipped, become (value − offset) · scale, and are given another shape. */
export interface ImageAdapter {
  /** Name of the network's input. */
  readonly input: string;
  /** Its element type; values are rounded for integers. */
  readonly type: 'int16' | 'float32';
  /** Its sizes without the batch: [D,H,W], [C,H,W] or [C,D,H,W]. */
  readonly shape: readonly number[];
  /** How often an only channel is repeated. */
  readonly repeat: number;
  /** Values outside are clipped; null leaves them. */
  readonly clip: HuWindow | null;
  readonly offset: number;
  readonly scale: number;
}

/** The values of an image [N,C,D,H,W], in a graph. */
function values(g: GraphBuilder, image: Value, { type, clip, offset, scale }: ImageAdapter): Value {
  const isSame = clip === null && offset === 0 && scale === 1;
  if (isSame && type === image.type) return image;
  let value = asFloat(g, image);
  if (clip) value = g.add('Clip', [value, g.scalar(clip.low), g.scalar(clip.high)]);
  if (offset !== 0) value = g.add('Sub', [value, g.scalar(offset)]);
  if (scale !== 1) value = g.add('Mul', [value, g.scalar(scale)]);
  return type === 'float32' ? value : g.add('Cast', [g.add('Round', [value])], { to: TYPE_CODES[type] });
}

/** Images [N,C,D,H,W] as the network's input [N,…]. */
export function adaptedImage(g: GraphBuilder, image: Value, adapter: ImageAdapter): Value {
  const { repeat, shape } = adapter;
  const value = values(g, image, adapter);
  const channels = repeat === 1 ? value : g.add('Concat', Array(repeat).fill(value), { axis: 1 });
  return g.reshape(channels, [image.shape[0] as number, ...shape]);
}
