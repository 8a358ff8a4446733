import { randomStream } from '../../random.js';
import { firstOfCopies } from '../store/copies.js';
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

/** What decides where a sample goes. */
interface Undivided {
  readonly patient: string;
  readonly imageSha256: string;
  /** Null where it is to be drawn. */
  readonly split: SampleSplit | null;
}

/**
 * Samples with a split each: the one that they are given, that of their patient's others or of copies of these, or one that is drawn. Patients who
 * share an image are one, whatever they are called.
 */
export function divideSamples<Sample extends Undivided>(
  samples: readonly Sample[],
  shares: SplitShares,
  seed: number,
): (Sample & { readonly split: SampleSplit })[] {
  const copies = firstOfCopies(samples.map(({ patient, imageSha256 }) => [patient, imageSha256] as const));
  const ownerOf = ({ patient }: Undivided) => copies.get(patient)!;
  const given = new Map(samples.flatMap((sample) => (sample.split ? [[ownerOf(sample), sample.split]] : [])));
  const drawn = drawSampleSplit(
    samples.map(ownerOf).filter((owner) => !given.has(owner)),
    shares,
    seed,
  );
  return samples.map((sample) => {
    const owner = ownerOf(sample);
    return { ...sample, split: sample.split ?? given.get(owner) ?? drawn.get(owner)! };
  });
}
