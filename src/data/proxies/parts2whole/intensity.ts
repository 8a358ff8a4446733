import type { RandomStream } from '../../../random.js';

/** x in [0, 1] becomes clip(gain · x^gamma + shift, 0, 1). */
export type IntensityChange = readonly [gamma: number, gain: number, shift: number];

/** Leaves every intensity as it is. */
export const SAME_INTENSITY: IntensityChange = [1, 1, 0];

/**
 * Draws a change of a part's intensities: gamma e^u, gain 1 + v, shift w − v/2 with u, v, w ~ U(−most, most), so that
 * the gain turns around the middle of the window.
 */
export function drawIntensity(random: RandomStream, most: number): IntensityChange {
  const [u, v, w] = [random.between(-most, most), random.between(-most, most), random.between(-most, most)];
  return [Math.exp(u), 1 + v, w - v / 2];
}
