import { randomStream } from '../../random.js';
import type { SampleSplit } from './manifest.js';

export interface SplitShares {
  readonly validation: number;
  readonly test: number;
}

/** Less is what rounding leaves of 1. */
const SMALLEST_SHARE = 1e-9;

/**
 * Draws what each patient is for: each gets a random number of its own, so that another patient more or less moves
 * hardly any of the others. Three patients or more give at least one for each purpose
 * with a share.
 */
export function drawSampleSplit(
  patients: readonly string[],
  { validation, test }: SplitShares,
  seed: number,
): Map<string, SampleSplit> {
  const rank = new Map(patients.map((id) => [id, randomStream(seed, 'sample split', id).uniform()]));
  const ranked = [...rank.keys()].sort((a, b) => rank.get(a)! - rank.get(b)!);
  const least = (share: number) => (share > SMALLEST_SHARE && ranked.length > 2 ? 1 : 0);
  const training = least(1 - validation - test);
  const count = (share: number, others: number) =>
    Math.min(Math.max(least(share), Math.round(share * ranked.length)), ranked.length - others);
  const tests = count(test, least(validation) + training);
  const validations = count(validation, tests + training);
  return new Map(
    ranked.map((id, i) => [id, i < tests ? 'test' : i < tests + validations ? 'validation' : 'train']),
  );
}
