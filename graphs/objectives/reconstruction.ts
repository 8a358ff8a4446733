import type { UNet3dOptions } from '../models/unet3d.js';
import { type Parts2WholeOptions, parts2whole } from '../proxies/parts2whole.js';
import { autoencoding, type ContrastiveTerm } from './autoencoding.js';
import type { Objective } from './objective.js';

/** Everything that decides what a pre-training run computes. */
export interface ProxyOptions extends Parts2WholeOptions {
  readonly network: UNet3dOptions;
  /** A contrastive term beside the reconstruction; samples 2i and 2i + 1 then are parts of one whole. */
  readonly contrastive?: ContrastiveTerm | null;
}

/**
 * Parts2Whole: parts in, wholes out, mean squared error, and a contrastive term where asked for. Inputs as {@link parts2whole} says, outputs of an evaluation
 * as {@link autoencoding}.
 */
export const reconstruction =
  (options: ProxyOptions): Objective =>
  (net) =>
    autoencoding(net, parts2whole(net.g, options), options.network, options.contrastive ?? null);
