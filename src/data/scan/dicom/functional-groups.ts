/** What a multi-frame image says of its frames (PS3.3, C.7.6.16). */

import type { Dataset } from './dataset.js';
import { NotScan } from './not-scan.js';
import { TAGS } from './tags.js';

/** The data set in which a functional group is found, by the tag of its sequence. */
export type FunctionalGroups = (sequence: number) => Dataset;

/** More frames than any image has; a small file can claim more than can be dealt with. */
const MAX_FRAMES = 1 << 16;

/**
 * The groups of each frame, in the order of the pixels: its own, the shared ones, or else the image's own attributes.
 * Empty for an image that describes no frames.
 * @throws NotScan for more frames than any image has; NotElements, NeedsMoreBytes
 */
export function functionalGroups(dataset: Dataset): FunctionalGroups[] {
  const shared = dataset.item(TAGS.SharedFunctionalGroupsSequence);
  const frames = dataset.items(TAGS.PerFrameFunctionalGroupsSequence);
  if (frames.length > MAX_FRAMES)
    throw new NotScan(`an image of ${frames.length} frames, where at most ${MAX_FRAMES} are supported`);
  return frames.map((frame) => (sequence) => frame.item(sequence) ?? shared?.item(sequence) ?? dataset);
}
