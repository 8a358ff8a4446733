import { describe, expect, it } from 'vitest';
import { contrastiveBounds, contrastiveLoss, contrastiveLosses } from '../../src/analysis/contrastive.js';
import { UserError } from '../../src/errors.js';
import { randomStream } from '../../src/random.js';
import { clusters, constantWholes } from './features.js';

const PAPER = { tests: 100, negatives: 5000, temperature: 0.7, seed: 1 };

describe('contrastiveLoss', () => {
  it('of equal features is ln 5001', () => {
    expect(
      contrastiveLoss(
        constantWholes(
          [
            [2, 1],
            [2, 1],
            [4, 2],
          ],
          3,
        ),
        PAPER,
      ),
    ).toBeCloseTo(Math.log(5001), 6);
  });

  it('of wholes at right angles is 7.0895', () => {
    const loss = contrastiveLoss(
      constantWholes(
        [
          [3, 0, 0],
          [0, 1, 0],
          [0, 0, 9],
        ],
        4,
      ),
      PAPER,
    );
    expect(loss).toBeCloseTo(7.089456, 5);
    expect(contrastiveBounds(PAPER).separated).toBeCloseTo(loss, 9);
  });

  it('of opposite wholes is 5.6635', () => {
    expect(
      contrastiveLoss(
        constantWholes(
          [
            [1, 2],
            [-1, -2],
          ],
          2,
        ),
        PAPER,
      ),
    ).toBeCloseTo(5.6635, 4);
  });

  it('draws positives from all other parts of a whole, and negatives from all parts of the others', () => {
    const [wholes, partsPerWhole, dimensions, temperature] = [3, 4, 5, 0.2];
    const random = randomStream(9, 'features');
    const values = Float32Array.from({ length: wholes * partsPerWhole * dimensions }, () =>
      random.between(-1, 1),
    );
    const row = (i: number) => values.subarray(i * dimensions, (i + 1) * dimensions);
    const dot = (a: number, b: number) => row(a).reduce((sum, v, i) => sum + v * row(b)[i]!, 0);
    const cosine = (a: number, b: number) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    const all = Array.from({ length: wholes * partsPerWhole }, (_, i) => i);
    const wholeOf = (i: number) => Math.floor(i / partsPerWhole);
    /** Of one positive and one negative, for each anchor alike. */
    const losses = all.flatMap((anchor) =>
      all.flatMap((positive) =>
        positive === anchor || wholeOf(positive) !== wholeOf(anchor)
          ? []
          : all.flatMap((negative) =>
              wholeOf(negative) === wholeOf(anchor)
                ? []
                : Math.log1p(Math.exp((cosine(anchor, negative) - cosine(anchor, positive)) / temperature)),
            ),
      ),
    );
    const expected = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    const options = { tests: 20_000, negatives: 1, temperature, seed: 3 };
    const loss = contrastiveLoss({ values, wholes, partsPerWhole, dimensions }, options);
    // 60,000 draws of losses with a deviation of less than 2.
    expect(Math.abs(loss - expected)).toBeLessThan(0.02);
  });

  it('agrees with its definition where every draw gives the same cosines', () => {
    // Two wholes of two parts: the only positive of a part is its sibling; wholes are 60 degrees apart.
    const half = Math.sqrt(3) / 2;
    const features = constantWholes(
      [
        [1, 0],
        [0.5, half],
      ],
      2,
    );
    const [p, n] = [Math.exp(1 / 0.2), Math.exp(0.5 / 0.2)];
    const loss = contrastiveLoss(features, { tests: 3, negatives: 10, temperature: 0.2, seed: 5 });
    expect(loss).toBeCloseTo(-Math.log(p / (p + 10 * n)), 6);
  });

  it('never draws an anchor as its own positive, nor a part of its whole as a negative', () => {
    // Parts of a whole are at right angles, and opposite to those of the other: p = 0 always, n is 0 or −1.
    const values = Float32Array.from([1, 0, 0, 1, -1, 0, 0, -1]);
    const features = { wholes: 2, partsPerWhole: 2, dimensions: 2, values };
    const options = { tests: 200, negatives: 1, temperature: 0.01, seed: 3 };
    // n = 0 gives ln 2 and n = −1 gives 0; a positive of 1 or a negative of 1 would give about 0 or 100.
    const loss = contrastiveLoss(features, options);
    expect(loss).toBeGreaterThan(0.4 * Math.LN2);
    expect(loss).toBeLessThan(0.6 * Math.LN2);
  });

  it('falls as the parts of a whole come together', () => {
    const losses = [3, 1, 0.3].map((spread) => contrastiveLoss(clusters(8, 6, 16, spread), PAPER));
    expect(losses[1]!).toBeLessThan(losses[0]!);
    expect(losses[2]!).toBeLessThan(losses[1]!);
  });

  it('depends on the seed, and on nothing else', () => {
    const features = clusters(5, 4, 8, 1);
    const options = { ...PAPER, negatives: 50 };
    expect(contrastiveLoss(features, options)).toBe(contrastiveLoss(features, options));
    expect(contrastiveLoss(features, options)).not.toBe(contrastiveLoss(features, { ...options, seed: 2 }));
  });

  it('of several features is that of each alone', () => {
    const all = [3, 1, 0.3].map((spread) => clusters(5, 4, 8, spread));
    const options = { ...PAPER, negatives: 50 };
    expect(contrastiveLosses(all, options)).toEqual(all.map((each) => contrastiveLoss(each, options)));
  });

  it('refuses a temperature that would underflow', () => {
    expect(() => contrastiveLoss(clusters(2, 2, 2, 1), { ...PAPER, temperature: 0 })).toThrow(UserError);
    expect(() => contrastiveLoss(clusters(2, 2, 2, 1), { ...PAPER, temperature: Number.NaN })).toThrow(
      UserError,
    );
  });
});
