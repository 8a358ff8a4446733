import { UserError } from '../errors.js';
import { randomStream } from '../random.js';
import { dot, l2Normalise, type PartFeatures, type UnitFeatures } from './features.js';

export interface ContrastiveOptions {
  /** Draws of one positive and all negatives for each whole; 100 in the paper. */
  readonly tests: number;
  /** Negatives a test; 5,000 in the paper. */
  readonly negatives: number;
  /** τ, at least 0.01; 0.7 in the paper. */
  readonly temperature: number;
  readonly seed: number;
}

/**
 * Mean contrastive loss over all wholes and tests (Parts2Whole, Sect. 3.3, footnote 3):
 * −log(e^{p/τ} / (e^{p/τ} + Σ e^{n/τ})), with p the cosine of two different parts of one whole, and n those
 * of the same anchor with parts of other wholes, drawn with replacement from the given features.
 * @throws UserError when the features cannot be compared or the temperature is below 0.01
 * @example
 * const loss = contrastiveLoss(features, { tests: 100, negatives: 5000, temperature: 0.7, seed: 1 });
 */
export const contrastiveLoss = (features: PartFeatures, options: ContrastiveOptions): number =>
  contrastiveLosses([features], options)[0]!;

/**
 * {@link contrastiveLoss} of several features of the same parts, such as those of several checkpoints, by the same draws: drawing
 * takes most of the time.
 * @param all of as many wholes, with as many parts
 */
export function contrastiveLosses(all: readonly PartFeatures[], options: ContrastiveOptions): number[] {
  const { tests, negatives, temperature, seed } = options;
  // Below 0.01 the weights of unlike pairs underflow even in float64.
  if (!(temperature >= 0.01)) {
    throw new UserError('usage', {
      what: 'the temperature is too small',
      got: `${temperature}`,
      expected: '≥ 0.01',
    });
  }
  const banks = all.map(l2Normalise);
  if (banks.length === 0) return [];
  const { wholes, partsPerWhole } = banks[0]!;
  const others = (wholes - 1) * partsPerWhole;
  const sums = banks.map(() => 0);
  const drawn = new Uint32Array(negatives);
  for (let whole = 0; whole < wholes; whole++) {
    const random = randomStream(seed, 'contrastive', whole);
    const first = whole * partsPerWhole;
    // Anchors are drawn first, so that all tests of one anchor share its similarities.
    const testsOf = new Uint32Array(partsPerWhole);
    for (let test = 0; test < tests; test++) testsOf[random.integer(partsPerWhole)]!++;
    for (let part = 0; part < partsPerWhole; part++) {
      if (testsOf[part] === 0) continue;
      const weights = banks.map((bank) => similarityWeights(bank, first + part, temperature));
      for (let test = 0; test < testsOf[part]!; test++) {
        const positive = first + ((part + 1 + random.integer(partsPerWhole - 1)) % partsPerWhole);
        for (let n = 0; n < negatives; n++) {
          const row = random.integer(others);
          drawn[n] = row < first ? row : row + partsPerWhole;
        }
        for (const [bank, weight] of weights.entries()) sums[bank]! += testLoss(weight, positive, drawn);
      }
    }
  }
  return sums.map((sum) => sum / (wholes * tests));
}

/** The loss of one test, by the weights of all rows with its anchor. */
function testLoss(weights: Float64Array, positive: number, negatives: Uint32Array): number {
  let total = weights[positive]!;
  for (let n = 0; n < negatives.length; n++) total += weights[negatives[n]!]!;
  return Math.log(total) - Math.log(weights[positive]!);
}

/**
 * e^{(cos − 1)/τ} of one row of the bank with each. The largest cosine is taken off in the exponent, as in a log-sum-exp: it cancels
 * in the loss and nothing overflows.
 */
function similarityWeights(bank: UnitFeatures, anchor: number, temperature: number): Float64Array {
  const { dimensions, values } = bank;
  return Float64Array.from({ length: bank.wholes * bank.partsPerWhole }, (_, row) => {
    const cosine = dot(values, anchor * dimensions, values, row * dimensions, dimensions);
    return Math.exp((cosine - 1) / temperature);
  });
}

/** Values between which to read {@link contrastiveLoss}. */
export interface ContrastiveBounds {
  /** All features equal, the loss of a collapsed encoder: ln(1 + negatives). */
  readonly collapsed: number;
  /** Parts of a whole equal, of different wholes at right angles: the least that features after a ReLU can reach. */
  readonly separated: number;
}

/** The bounds for a number of negatives and a temperature; 8.517 and 7.089 for the paper's 5,000 and 0.7. */
export function contrastiveBounds({
  negatives,
  temperature,
}: Pick<ContrastiveOptions, 'negatives' | 'temperature'>): ContrastiveBounds {
  return { collapsed: Math.log1p(negatives), separated: Math.log1p(negatives * Math.exp(-1 / temperature)) };
}
