import type { UNet3dOptions } from '../models/unet3d.js';
import { type GenesisOptions, genesis } from '../proxies/genesis.js';
import { autoencoding } from './autoencoding.js';
import type { Objective } from './objective.js';

export interface RestorationOptions extends GenesisOptions {
  readonly network: UNet3dOptions;
}

/**
 * Models Genesis: corrupted images in, the images out, mean squared error. Inputs as {@link genesis} says, outputs of an
 * evaluation as {@link autoencoding}, of which `part` is the corrupted image.
 */
export const restoration =
  (options: RestorationOptions): Objective =>
  (net) =>
    autoencoding(net, genesis(net.g, options), options.network, null);
