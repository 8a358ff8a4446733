/** What a multi-frame image says of its frames (PS3.3, C.7.6.16). */

import type { Dataset } from './dataset.js';
import { TAGS } from './tags.js';

/** The data set in which a functional group is found, by the tag of its sequence. */
export type FunctionalGroups = (sequence: number) => Dataset;

/**
 * The groups of each frame, in the order of the pixels: its own, the shared ones, or else the image's own attributes.
 * Empty for an image that describes no frames.
 * @throws NotElements, NeedsMoreBytes
 */
export function functionalGroups(dataset: Dataset): FunctionalGroups[] {
  const shared = dataset.item(TAGS.SharedFunctionalGroupsSequence);
  return dataset
    .items(TAGS.PerFrameFunctionalGroupsSequence)
    .map((frame) => (sequence) => frame.item(sequence) ?? shared?.item(sequence) ?? dataset);
}
