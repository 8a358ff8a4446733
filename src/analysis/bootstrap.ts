import { randomStream } from '../random.js';
import { quantile } from './statistics.js';

export interface BootstrapOptions {
  /** Resamples; 1,000 in LUNA16's evaluation. */
  readonly resamples: number;
  readonly seed: number;
  /** Default 0.95. */
  readonly confidence?: number;
}

export type Interval = readonly [low: number, high: number];

/**
 * Percentile bootstrap intervals (Efron) of several statistics: units are drawn with replacement, as many as there
 * are. Resamples in which a statistic is not defined, such as an AUC of one class, do not count for it.
 * @param units how many there are: samples, cases, scans
 * @param statistics from how often each unit was drawn; NaN where one is not defined
 * @returns one for each statistic; null when it is not defined in most resamples, or there are none
 * @example
 * const scores = [0.81, 0.77, 0.93, 0.85];
 * const means = (draws: Uint32Array) => [mean([...draws].flatMap((times, i) => Array(times).fill(scores[i])))];
 * const [interval] = bootstrapIntervals(scores.length, means, { resamples: 1000, seed: 1 });
 */
export function bootstrapIntervals(
  units: number,
  statistics: (draws: Uint32Array) => readonly number[],
  { resamples, seed, confidence = 0.95 }: BootstrapOptions,
): (Interval | null)[] {
  const random = randomStream(seed, 'bootstrap');
  const draws = new Uint32Array(units);
  const found = statistics(draws).map((): number[] => []);
  for (let resample = 0; resample < resamples; resample++) {
    draws.fill(0);
    for (let i = 0; i < units; i++) draws[random.integer(units)]!++;
    for (const [i, value] of statistics(draws).entries()) {
      if (Number.isFinite(value)) found[i]!.push(value);
    }
  }
  const tail = (1 - confidence) / 2;
  return found.map((values) =>
    values.length === 0 || values.length < resamples / 2
      ? null
      : [quantile(values, tail), quantile(values, 1 - tail)],
  );
}
