import { randomStream } from '../../random.js';
import type { SampleSplit } from './manifest.js';

export interface SplitShares {
  readonly validation: number;
  readonly test: number;
}

/**
 * Draws what each patient is for: each gets a random number of its own, so that another patient more or less moves
 * hardly any of the others. Three patients or more give at least one for each purpose.
 */
export function drawSampleSplit(
  patients: readonly string[],
  { validation, test }: SplitShares,
  seed: number,
): Map<string, SampleSplit> {
  const rank = new Map(patients.map((id) => [id, randomStream(seed, 'sample split', id).uniform()]));
  const ranked = [...rank.keys()].sort((a, b) => rank.get(a)! - rank.get(b)!);
  const atLeastOne = (share: number) =>
    share > 0 && ranked.length > 2
      ? Math.max(1, Math.round(share * ranked.length))
      : Math.round(share * ranked.length);
  const tests = atLeastOne(test);
  const validations = atLeastOne(validation);
  return new Map(
    ranked.map((id, i) => [id, i < tests ? 'test' : i < tests + validations ? 'validation' : 'train']),
  );
}
