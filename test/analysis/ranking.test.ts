import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { areaUnderRoc, averagePrecision, rankScores, rocCurve } from '../../src/analysis/ranking.js';
import { golden } from './golden.js';

const scores = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 12 });

describe.each(golden.scores.map((sample, i) => ({ ...sample, i })))('sample $i', (sample) => {
  const of = (label: number) => sample.score.filter((_, i) => sample.label[i] === label);
  const ranking = rankScores(of(1), of(0));

  it('AUC and average precision agree with scikit-learn', () => {
    expect(areaUnderRoc(ranking)).toBeCloseTo(sample.auc, 12);
    expect(averagePrecision(ranking)).toBeCloseTo(sample.average_precision, 12);
  });
});

describe('areaUnderRoc', () => {
  const auc = (positive: number[], negative: number[]) => areaUnderRoc(rankScores(positive, negative));

  it('counts ties half', () => {
    expect(auc([2, 3], [0, 1])).toBe(1);
    expect(auc([0, 1], [2, 3])).toBe(0);
    expect(auc([1, 1], [1, 1, 1])).toBe(0.5);
    expect(auc([0.8, 0.4, 0.5], [0.5, 0.1])).toBeCloseTo((2 + 1 + 1.5) / 6, 14);
  });

  it('is the share of pairs in the right order', () => {
    fc.assert(
      fc.property(scores, scores, (positive, negative) => {
        const won = positive.flatMap((p) => negative.map((n) => (p > n ? 1 : p === n ? 0.5 : 0)));
        expect(auc(positive, negative)).toBeCloseTo(
          won.reduce((sum: number, w) => sum + w, 0) / won.length,
          12,
        );
      }),
    );
  });

  it('and average precision depend on the order of the scores only', () => {
    const rising = (score: number) => Math.exp(3 * score) - 7;
    fc.assert(
      fc.property(scores, scores, (positive, negative) => {
        const plain = rankScores(positive, negative);
        const bent = rankScores(positive.map(rising), negative.map(rising));
        expect(areaUnderRoc(bent)).toBe(areaUnderRoc(plain));
        expect(averagePrecision(bent)).toBe(averagePrecision(plain));
        expect(areaUnderRoc(rankScores(negative, positive))).toBeCloseTo(1 - areaUnderRoc(plain), 12);
      }),
    );
  });

  it('is not defined for one class', () => {
    expect(auc([], [1, 2])).toBeNaN();
    expect(auc([1], [])).toBeNaN();
    expect(averagePrecision(rankScores([], [1]))).toBeNaN();
    expect(averagePrecision(rankScores([1], []))).toBe(1);
  });
});

it('draws count samples as if they were there several times', () => {
  const draw = fc.array(
    fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 3 })),
    {
      minLength: 2,
      maxLength: 15,
    },
  );
  fc.assert(
    fc.property(draw, (samples) => {
      const sorted = [
        ...samples.filter(([positive]) => positive),
        ...samples.filter(([positive]) => !positive),
      ];
      const repeated = (wanted: boolean) =>
        sorted.flatMap(([positive, score, times]) =>
          positive === wanted ? Array.from({ length: times }, () => score) : [],
        );
      const of = (wanted: boolean) =>
        sorted.flatMap(([positive, score]) => (positive === wanted ? [score] : []));
      const ranking = rankScores(of(true), of(false));
      const draws = Uint32Array.from(sorted, ([, , times]) => times);
      const expected = rankScores(repeated(true), repeated(false));
      for (const measure of [areaUnderRoc, averagePrecision]) {
        const [found, wanted] = [measure(ranking, draws), measure(expected)];
        if (Number.isNaN(wanted)) expect(found).toBeNaN();
        else expect(found).toBeCloseTo(wanted, 12);
      }
    }),
  );
});

it('the area under the ROC curve is the AUC, with ties too', () => {
  fc.assert(
    fc.property(scores, scores, (positive, negative) => {
      const ranking = rankScores(positive, negative);
      const corners = rocCurve(ranking);
      const area = corners
        .slice(1)
        .reduce((sum, [x, y], i) => sum + ((x - corners[i]![0]) * (y + corners[i]![1])) / 2, 0);
      expect(corners.at(-1)).toEqual([1, 1]);
      expect(area).toBeCloseTo(areaUnderRoc(ranking), 12);
    }),
  );
});
