import { randomStream } from './random.js';

/**
 * Places spread over 0 … available−1, as many as wanted, or all: always the same, a random one in each of as many stretches of
 * equal length. Places at equal distances would all be alike where what they lie in repeats itself, as the tiles of scans do.
 */
export function spreadEvenly(available: number, wanted: number): number[] {
  const count = Math.min(wanted, available);
  const random = randomStream(1, 'spread', available, count);
  const startOf = (i: number) => Math.floor((i * available) / count);
  return Array.from({ length: count }, (_, i) => startOf(i) + random.integer(startOf(i + 1) - startOf(i)));
}

/** Numbers spread evenly over 0 … count−1, first and last included. */
export const spreadOver = (count: number, wanted: number): number[] =>
  count <= wanted
    ? Array.from({ length: count }, (_, i) => i)
    : Array.from({ length: wanted }, (_, i) => Math.round((i * (count - 1)) / (wanted - 1)));
