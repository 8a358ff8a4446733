import type { RandomStream } from '../../../random.js';
import type { XYZ } from '../../scan/volume.js';

const PROBABILITY = 0.4;
const MOST = 3;

/** 0 is x. */
export type Axis = 0 | 1 | 2;

/** The axes to flip, one after the other: each of at most three is drawn with probability 0.4, if the one before was. */
export function drawFlips(random: RandomStream): Axis[] {
  const axes: Axis[] = [];
  while (axes.length < MOST && random.uniform() < PROBABILITY) axes.push(random.integer(3) as Axis);
  return axes;
}

/** The image [D,H,W] mirrored along each axis in turn: twice along the same one leaves it as it was. */
export function flip(image: Float32Array, [w, h, d]: XYZ, axes: readonly Axis[]): Float32Array {
  const isMirrored = (axis: Axis) => axes.filter((a) => a === axis).length % 2 === 1;
  const [alongX, alongY, alongZ] = [isMirrored(0), isMirrored(1), isMirrored(2)];
  const flipped = new Float32Array(image.length);
  for (let z = 0; z < d; z++) {
    for (let y = 0; y < h; y++) {
      const from = w * ((alongY ? h - 1 - y : y) + h * (alongZ ? d - 1 - z : z));
      const row = flipped.subarray(w * (y + h * z), w * (y + h * z + 1));
      row.set(image.subarray(from, from + w));
      if (alongX) row.reverse();
    }
  }
  return flipped;
}
