import { autoencoder, features, type UNet3dOptions } from '../models/unet3d.js';
import { contrastiveLoss, meanSquaredError, squaredErrorPerSample } from '../nn/losses.js';
import type { NetworkBuilder } from '../nn/module.js';
import type { Sample } from '../proxies/sample.js';
import type { LossAndOutputs } from './objective.js';

/** weight · NT-Xent of the features of parts, added to the loss. */
export interface ContrastiveTerm {
  readonly weight: number;
  readonly temperature: number;
}

/**
 * The objective of every proxy task: an autoencoder is given what is left of a whole and reconstructs the whole, under the
 * mean squared error, to which a contrastive term may be added. An evaluation returns `loss` [N], `part`, `whole` and
 * `reconstruction` [N,1,D,H,W], and `features` [N,C].
 */
export function autoencoding(
  net: NetworkBuilder,
  { part, whole }: Sample,
  network: UNet3dOptions,
  contrastive: ContrastiveTerm | null,
): LossAndOutputs {
  const { g } = net;
  const { encoded, output } = autoencoder(net, part, network);
  return {
    loss: () =>
      g.scope('loss', () => {
        const error = meanSquaredError(g, output, whole);
        if (!contrastive) return error;
        const apart = contrastiveLoss(g, features(net, encoded), contrastive.temperature);
        return g.add('Add', [error, g.add('Mul', [apart, g.scalar(contrastive.weight)])]);
      }),
    outputs: () => ({
      loss: squaredErrorPerSample(g, output, whole),
      part,
      whole,
      reconstruction: output,
      features: features(net, encoded),
    }),
  };
}
