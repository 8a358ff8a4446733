import { autoencoder, features, type UNet3dOptions } from '../models/unet3d.js';
import { meanSquaredError, squaredErrorPerSample } from '../nn/losses.js';
import { type Parts2WholeOptions, parts2whole } from '../proxies/parts2whole.js';
import type { Task } from './task.js';

/** Everything that decides what a pre-training run computes. */
export interface ProxyOptions extends Parts2WholeOptions {
  readonly network: UNet3dOptions;
}

/**
 * The proxy task: parts in, wholes out, mean squared error. Inputs as {@link parts2whole} says. An evaluation returns
 * `loss` [N], `part`, `whole` and `reconstruction` [N,1,D,H,W], and `features` [N,C].
 */
export const reconstruction =
  (options: ProxyOptions): Task =>
  (net) => {
    const { g } = net;
    const { part, whole } = parts2whole(g, options);
    const { encoded, output } = autoencoder(net, part, options.network);
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
  };
