import type { RandomStream } from '../../../random.js';
import type { XYZ } from '../../scan/volume.js';
import { drawFlips, flip } from './flip.js';
import { drawCurve, mapIntensities } from './intensity.js';
import { inPaint, outPaint } from './paint.js';
import { shuffleBlocks } from './shuffle.js';

/** How often each corruption is done; in-painting as a share of paintings. */
const PROBABILITY = { shuffle: 0.5, intensity: 0.9, paint: 0.9, inPaint: 0.2 };

/** An image and what was made of it, both [D,H,W] in [0, 1]. */
export interface Corruption {
  readonly corrupted: Float32Array;
  /** The image to be restored: flipped as the corrupted one is, otherwise as it was. */
  readonly target: Float32Array;
}

/**
 * Corrupts an image as Models Genesis does: flips, local shuffling, non-linear intensities, painting, each or not by
 * chance, in this order.
 * @param image [D,H,W] in [0, 1]
 * @param random a stream of its own: the same stream gives the same corruption
 */
export function corrupt(image: Float32Array, size: XYZ, random: RandomStream): Corruption {
  const happens = (probability: number) => random.uniform() < probability;
  const target = flip(image, size, drawFlips(random));
  const shuffled = happens(PROBABILITY.shuffle) ? shuffleBlocks(target, size, random) : target;
  const curved = happens(PROBABILITY.intensity) ? mapIntensities(shuffled, drawCurve(random)) : shuffled;
  if (!happens(PROBABILITY.paint)) return { corrupted: curved, target };
  const paint = happens(PROBABILITY.inPaint) ? inPaint : outPaint;
  return { corrupted: paint(curved, size, random), target };
}
