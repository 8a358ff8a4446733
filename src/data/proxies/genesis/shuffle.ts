import type { RandomStream } from '../../../random.js';
import type { XYZ } from '../../scan/volume.js';
import { drawBox, forEachRow } from './box.js';

/** Sides of a block: at most a tenth of the image's. */
const sides = (length: number) => [1, Math.max(1, Math.floor(length / 10))] as const;

/** How often a voxel of an image is in a block, on average, if it has so many blocks. */
function cover(size: XYZ, blocks: number): number {
  const share = size.map((length) => (1 + sides(length)[1]) / 2 / length).reduce((a, b) => a * b, 1);
  return blocks * share;
}

/** How many blocks are shuffled: 10,000 at 64×64×32, and elsewhere as many as shuffle the image as thoroughly. */
export const shuffledBlocks = (size: XYZ): number => Math.round(cover([64, 64, 32], 10_000) / cover(size, 1));

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
