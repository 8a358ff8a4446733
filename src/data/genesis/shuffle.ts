import type { RandomStream } from '../../random.js';
import type { XYZ } from '../volume.js';
import { drawBox, forEachRow } from './box.js';

/** Blocks of an image of 64×64×32 voxels. */
const BLOCKS = 10_000;
const REFERENCE_VOXELS = 64 * 64 * 32;

/** How many blocks are shuffled: 10,000, and for images smaller than 64×64×32 in proportion to their volume. */
export const shuffledBlocks = ([w, h, d]: XYZ): number =>
  Math.round(BLOCKS * Math.min(1, (w * h * d) / REFERENCE_VOXELS));

/** Sides of a block: at most a tenth of the image's. */
const sides = (length: number) => [1, Math.max(1, Math.floor(length / 10))] as const;

/**
 * Local shuffling: the voxels of many small blocks change places, each block's among themselves. Every block takes its
 * values from the image as it was given, so nothing moves further than a block; where blocks overlap, the last stands.
 * @param image [D,H,W]
 */
export function shuffleBlocks(
  image: Float32Array,
  size: XYZ,
  random: RandomStream,
  count = shuffledBlocks(size),
): Float32Array {
  const shuffled = image.slice();
  for (let block = 0; block < count; block++) {
    const box = drawBox(random, size, sides, 0);
    const values: number[] = [];
    forEachRow(box, size, (first, end) => {
      for (let i = first; i < end; i++) values.push(image[i]!);
    });
    forEachRow(box, size, (first, end) => {
      for (let i = first; i < end; i++) {
        const drawn = random.integer(values.length);
        shuffled[i] = values[drawn]!;
        values[drawn] = values.at(-1)!;
        values.pop();
      }
    });
  }
  return shuffled;
}
