/** Networks of target tasks: the encoder, which may be pre-trained, and what a task puts behind it. */
import { dense } from '../nn/layers.js';
import type { NetworkBuilder } from '../nn/module.js';
import type { Value } from '../onnx/types.js';
import { decoded, type Encoded, encoder, features, type UNet3dOptions } from './unet3d.js';

export interface TransferOptions {
  readonly network: UNet3dOptions;
  /** The encoder stays as it is: no updates, and normalisation as in evaluation. */
  readonly frozenEncoder: boolean;
}

export interface ClassifierOptions extends TransferOptions {
  /** Neurons between features and output; null connects them directly, which on a frozen encoder is a linear probe. */
  readonly hidden: number | null;
  readonly outputs: number;
}

export interface SegmenterOptions extends TransferOptions {
  readonly classes: number;
}

const encode = (net: NetworkBuilder, x: Value, { network, frozenEncoder }: TransferOptions): Encoded =>
  frozenEncoder ? net.frozen(() => encoder(net, x, network)) : encoder(net, x, network);

/**
 * Encoder → average over all positions → hidden neurons with ReLU → outputs: x [N,C,D,H,W] → logits [N,outputs].
 * Names behind the encoder: `classifier.hidden.{weight,bias}`, `classifier.output.{weight,bias}`.
 */
export function classifier(net: NetworkBuilder, x: Value, options: ClassifierOptions): Value {
  const vector = features(net, encode(net, x, options));
  const hidden =
    options.hidden === null
      ? vector
      : net.g.add('Relu', [dense(net, 'classifier.hidden', vector, options.hidden)]);
  return dense(net, 'classifier.output', hidden, options.outputs);
}

/** Encoder and decoder with one channel a class: x [N,C,D,H,W] → logits [N,classes,D,H,W]. */
export const segmenter = (net: NetworkBuilder, x: Value, options: SegmenterOptions): Value =>
  decoded(net, encode(net, x, options), options.network, options.classes);
