import type { UNet3dOptions } from '../models/unet3d.js';
import { type GenesisOptions, genesis } from '../proxies/genesis.js';
import { redraw } from './autoencoding.js';
import type { Task } from './objective.js';

export interface RestorationOptions extends GenesisOptions {
  readonly network: UNet3dOptions;
}

/**
 * Models Genesis: corrupted images in, the images out, mean squared error. Inputs as {@link genesis} says, outputs of an
 * evaluation as {@link redraw}, of which `part` is the corrupted image.
 */
export const restoration =
  (options: RestorationOptions): Task =>
  (net) =>
    redraw(net, genesis(net.g, options), options.network, null);
