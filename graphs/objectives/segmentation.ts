import { type SegmenterOptions, segmenter } from '../models/transfer.js';
import { type ImageOptions, imageInput } from './image.js';
import { type SegmentationLosses, segmented } from './masks.js';
import type { Objective } from './objective.js';

export interface SegmentationOptions extends ImageOptions, SegmenterOptions {
  readonly losses: SegmentationLosses;
}

/** Segmentation of images: the input `image` as {@link imageInput} says, all else as {@link segmented}. */
export const segmentation =
  (options: SegmentationOptions): Objective =>
  (net) =>
    segmented(net, segmenter(net, imageInput(net.g, options), options), options.losses);
