import { randomStream } from '../random.js';
import { dot, l2Normalise, type PartFeatures } from './features.js';
import { areaUnderRoc, rankScores } from './ranking.js';
import { overlapCoefficient, sensitivityIndex } from './separation.js';

/** How well the cosine of two parts tells whether they come from the same whole. */
export interface CosineSeparation {
  /** Cosines of pairs of different parts of one whole. */
  readonly positive: Float64Array;
  /** Cosines of pairs of parts of different wholes. */
  readonly negative: Float64Array;
  /** Probability that a positive pair is more alike than a negative one; 0.5 is chance. */
  readonly auc: number;
  /** d′, the distance of the two means in standard deviations. */
  readonly dPrime: number;
  /** Overlap coefficient of the two histograms, 50 bins; 0 is perfect separation. */
  readonly overlap: number;
}

/**
 * Cosine similarity of positive and negative pairs (Parts2Whole, Fig. 2b; there 100 pairs of each a whole).
 * Features after a ReLU are not negative, so even random ones lie near 1: judge the separation, not the values.
 * @param options.pairs positive pairs drawn for each whole, and as many negative ones
 * @throws UserError when the features cannot be compared
 * @example
 * const { auc, dPrime, overlap } = cosineSeparation(features, { pairs: 100, seed: 1 });
 */
export function cosineSeparation(
  features: PartFeatures,
  { pairs, seed }: { pairs: number; seed: number },
): CosineSeparation {
  const { wholes, partsPerWhole, dimensions, values } = l2Normalise(features);
  const cosine = (a: number, b: number) => dot(values, a * dimensions, values, b * dimensions, dimensions);
  const positive = new Float64Array(wholes * pairs);
  const negative = new Float64Array(wholes * pairs);
  for (let whole = 0; whole < wholes; whole++) {
    const random = randomStream(seed, 'cosine', whole);
    const anchorOf = () => whole * partsPerWhole + random.integer(partsPerWhole);
    for (let pair = whole * pairs; pair < (whole + 1) * pairs; pair++) {
      const anchor = anchorOf();
      // A step of 1 … partsPerWhole − 1 round the whole never comes back to the anchor; likewise for wholes.
      const part = ((anchor % partsPerWhole) + 1 + random.integer(partsPerWhole - 1)) % partsPerWhole;
      const other = (whole + 1 + random.integer(wholes - 1)) % wholes;
      positive[pair] = cosine(anchor, whole * partsPerWhole + part);
      negative[pair] = cosine(anchorOf(), other * partsPerWhole + random.integer(partsPerWhole));
    }
  }
  return {
    positive,
    negative,
    auc: areaUnderRoc(rankScores(positive, negative)),
    dPrime: sensitivityIndex(positive, negative),
    overlap: overlapCoefficient(positive, negative),
  };
}
