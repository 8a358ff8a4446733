import type { RandomStream } from '../../../random.js';
import type { XYZ } from '../../scan/volume.js';
import type { Box } from '../parts2whole/parts.js';
import { drawBox, forEachRow } from './box.js';

const MOST_BOXES = 5;
/** Of one more box, as long as there are fewer. */
const PROBABILITY = 0.95;
/** Voxels between a box and the edges of the image. */
const MARGIN = 3;

/** Sides of a painted box: a sixth to a third of the image's. */
const painted = (length: number) =>
  [Math.max(1, Math.floor(length / 6)), Math.max(1, Math.floor(length / 3))] as const;

/** Sides of a box that is kept: 3/7 to 4/7 of the image's. */
const kept = (length: number) =>
  [length - Math.floor((4 * length) / 7), length - Math.floor((3 * length) / 7)] as const;

/** Boxes up to the most, each but the first `sure` ones with a probability. */
function drawBoxes(random: RandomStream, size: XYZ, sides: typeof kept, sure: number): Box[] {
  const boxes: Box[] = [];
  while (boxes.length < MOST_BOXES && (boxes.length < sure || random.uniform() < PROBABILITY))
    boxes.push(drawBox(random, size, sides, MARGIN));
  return boxes;
}

/** In-painting: at most five boxes of an image [D,H,W] are filled with noise. */
export function inPaint(image: Float32Array, size: XYZ, random: RandomStream): Float32Array {
  const result = image.slice();
  for (const box of drawBoxes(random, size, painted, 0)) {
    forEachRow(box, size, (first, end) => {
      for (let i = first; i < end; i++) result[i] = random.uniform();
    });
  }
  return result;
}

/** Out-painting: of an image [D,H,W] one to five boxes are kept, everything else becomes noise. */
export function outPaint(image: Float32Array, size: XYZ, random: RandomStream): Float32Array {
  const result = image.map(() => random.uniform());
  for (const box of drawBoxes(random, size, kept, 1))
    forEachRow(box, size, (first, end) => result.set(image.subarray(first, end), first));
  return result;
}
