import { autoencoder, features, type UNet3dOptions } from '../models/unet3d.js';
import { meanSquaredError, squaredErrorPerSample } from '../nn/losses.js';
import type { NetworkBuilder } from '../nn/module.js';
import type { Sample } from '../proxies/sample.js';
import type { Outcome } from './task.js';

/**
 * What a network makes of the samples of any proxy task: it is given what is left of a whole and has to draw the whole,
 * judged by the mean squared error. An evaluation returns `loss` [N], `part`, `whole` and `reconstruction`
 * [N,1,D,H,W], and `features` [N,C].
 */
export function redraw(net: NetworkBuilder, { part, whole }: Sample, network: UNet3dOptions): Outcome {
  const { g } = net;
  const { encoded, output } = autoencoder(net, part, network);
  return {
    loss: () => g.scope('loss', () => meanSquaredError(g, output, whole)),
    outputs: () => ({
      loss: squaredErrorPerSample(g, output, whole),
      part,
      whole,
      reconstruction: output,
      features: features(net, encoded),
    }),
  };
}
