import type { RandomStream } from '../../../random.js';
import type { XYZ } from '../../scan/volume.js';
import type { Box } from '../parts2whole/parts.js';

/** Uniform integer in [low, high]. */
const integerBetween = (random: RandomStream, low: number, high: number) =>
  low + random.integer(high - low + 1);

/**
 * Draws a box inside an image.
 * @param sides least and most voxels of a side, for an image of so many along that axis
 * @param margin voxels to the image's edges at least, where the box leaves so many
 */
export function drawBox(
  random: RandomStream,
  image: XYZ,
  sides: (length: number) => readonly [least: number, most: number],
  margin: number,
): Box {
  const start: number[] = [];
  const size: number[] = [];
  for (const length of image) {
    const side = integerBetween(random, ...sides(length));
    const edge = Math.min(margin, (length - side) >> 1);
    size.push(side);
    start.push(integerBetween(random, edge, length - side - edge));
  }
  return { start, size } as unknown as Box;
}

/** Visits the rows of a box along x: the first voxel of each, and the voxel behind its last. */
export function forEachRow(
  { start: [x, y, z], size: [w, h, d] }: Box,
  [width, height]: XYZ,
  visit: (first: number, end: number) => void,
): void {
  for (let k = z; k < z + d; k++) {
    for (let j = y; j < y + h; j++) {
      const first = x + width * (j + height * k);
      visit(first, first + w);
    }
  }
}
