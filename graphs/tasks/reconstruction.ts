import type { UNet3dOptions } from '../models/unet3d.js';
import { type Parts2WholeOptions, parts2whole } from '../proxies/parts2whole.js';
import { redraw } from './redraw.js';
import type { Task } from './task.js';

/** Everything that decides what a pre-training run computes. */
export interface ProxyOptions extends Parts2WholeOptions {
  readonly network: UNet3dOptions;
}

/**
 * Parts2Whole: parts in, wholes out, mean squared error. Inputs as {@link parts2whole} says, outputs of an evaluation
 * as {@link redraw}.
 */
export const reconstruction =
  (options: ProxyOptions): Task =>
  (net) =>
    redraw(net, parts2whole(net.g, options), options.network);
