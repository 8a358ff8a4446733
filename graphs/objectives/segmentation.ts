import { type SegmenterOptions, segmenter } from '../models/transfer.js';
import { type ImageOptions, imageInput } from './image.js';
import { type SegmentationLosses, segmented } from './logits.js';
import type { Objective } from './objective.js';

export interface SegmentationOptions extends ImageOptions, SegmenterOptions {
  readonly losses: SegmentationLosses;
}

/**
 * Segmentation of images; classes may overlap, each voxel and class has a sigmoid of its own, unless a loss says otherwise.
 * Inputs: `image` as {@link imageInput} says, `sample_weight` [N], and `mask` uint8 [N,classes,D,H,W] of zeros and ones. An
 * evaluation returns `loss` [N], of each sample alone, `weight` [N] and `probabilities` [N,classes,D,H,W].
 */
export const segmentation =
  (options: SegmentationOptions): Objective =>
  (net) =>
    segmented(net, segmenter(net, imageInput(net.g, options), options), options.losses);
