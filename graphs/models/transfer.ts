/** Networks of target tasks: the encoder, which may be pre-trained, and what a task puts behind it. */
import { dense } from '../nn/layers.js';
import type { NetworkBuilder } from '../nn/module.js';
import type { Value } from '../onnx/types.js';
import { decoded, type Encoded, encoder, features, type UNet3dOptions } from './unet3d.js';

export interface TransferOptions {
  readonly network: UNet3dOptions;
  /** The encoder stays as it is: no updates, and normalisation as in evaluation. */
  readonly frozenEncoder: boolean;
  /** Share of the learning rate at which the encoder is trained; 1 by default. */
  readonly encoderRate?: number;
}

export interface ClassifierOptions extends TransferOptions {
  /** Neurons between features and output; null connects them directly, which on a frozen encoder is a linear probe. */
  readonly hidden: number | null;
  readonly outputs: number;
}

export interface SegmenterOptions extends TransferOptions {
  readonly classes: number;
}

function encode(
  net: NetworkBuilder,
  x: Value,
  { network, frozenEncoder, encoderRate = 1 }: TransferOptions,
): Encoded {
  const build = () => encoder(net, x, network);
  return frozenEncoder ? net.frozen(build) : net.atRate(encoderRate, build);
}

/**
 * Hidden neurons with ReLU → outputs: features [N,F] → logits [N,outputs]. Names:
 * `classifier.hidden.{weight,bias}`, `classifier.output.{weight,bias}`.
 */
export function classifierHead(
  net: NetworkBuilder,
  vector: Value,
  { hidden, outputs }: Pick<ClassifierOptions, 'hidden' | 'outputs'>,
): Value {
  const inner =
    hidden === null ? vector : net.g.add('Relu', [dense(net, 'classifier.hidden', vector, hidden)]);
  return dense(net, 'classifier.output', inner, outputs);
}

/** Encoder → average over all positions → {@link classifierHead}: x [N,C,D,H,W] → logits [N,outputs]. */
export const classifier = (net: NetworkBuilder, x: Value, options: ClassifierOptions): Value =>
  classifierHead(net, features(net, encode(net, x, options)), options);

/** Encoder and decoder with one channel a class: x [N,C,D,H,W] → logits [N,classes,D,H,W]. */
export const segmenter = (net: NetworkBuilder, x: Value, options: SegmenterOptions): Value =>
  decoded(net, encode(net, x, options), options.network, options.classes);
