/** Samples of two classes by falling score: what every measure of ranking is computed from. */
export interface Ranking {
  /** Sample indices, best score first; positives are 0 … positives − 1, then come the negatives. */
  readonly order: Uint32Array;
  /** For each place of the order: 1 where its score differs from the one before. Equal scores form a group. */
  readonly drops: Uint8Array;
  readonly positives: number;
}

/**
 * Ranks the scores of two classes, none of them NaN.
 * @example
 * const ranking = rankScores([0.9, 0.8], [0.1, 0.85]);
 */
export function rankScores(positive: ArrayLike<number>, negative: ArrayLike<number>): Ranking {
  const scores = new Float64Array(positive.length + negative.length);
  scores.set(positive);
  scores.set(negative, positive.length);
  const order = Uint32Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]!);
  const drops = Uint8Array.from(order, (sample, place) =>
    scores[sample] === scores[order[place - 1]!] ? 0 : 1,
  );
  return { order, drops, positives: positive.length };
}

/** Calls `visit` with the positives and negatives of each group of equal scores, best first. */
function forEachGroup(
  { order, drops, positives }: Ranking,
  draws: Uint32Array | undefined,
  visit: (positives: number, negatives: number) => void,
): void {
  let [up, down] = [0, 0];
  for (let place = 0; place < order.length; place++) {
    if (drops[place] === 1 && up + down > 0) {
      visit(up, down);
      up = down = 0;
    }
    const sample = order[place]!;
    const times = draws ? draws[sample]! : 1;
    if (sample < positives) up += times;
    else down += times;
  }
  if (up + down > 0) visit(up, down);
}

/**
 * Area under the ROC curve: the probability that a random positive score is above a random negative one,
 * ties counting half (the Mann–Whitney statistic; equal to the trapezoid rule with equal scores grouped).
 * @param draws how often each sample counts, as a bootstrap draws them; once each without it
 * @returns NaN when a class is empty
 * @example
 * areaUnderRoc(rankScores([0.9, 0.8], [0.1, 0.85])); // 0.75
 */
export function areaUnderRoc(ranking: Ranking, draws?: Uint32Array): number {
  let [above, negatives, pairs] = [0, 0, 0];
  forEachGroup(ranking, draws, (up, down) => {
    pairs += down * (above + up / 2);
    above += up;
    negatives += down;
  });
  return pairs / (above * negatives);
}

/** The ROC curve's corners, from (0, 0) to (1, 1): false positive rate, true positive rate; equal scores together. */
export function rocCurve(ranking: Ranking): [falsePositives: number, truePositives: number][] {
  const { positives, order } = ranking;
  const negatives = order.length - positives;
  let [above, wrong] = [0, 0];
  const corners: [number, number][] = [[0, 0]];
  forEachGroup(ranking, undefined, (up, down) => {
    above += up;
    wrong += down;
    corners.push([wrong / negatives, above / positives]);
  });
  return corners;
}

/**
 * Average precision Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct scores, best first, without interpolation (scikit-learn's
 * `average_precision_score`).
 * @param draws as in {@link areaUnderRoc}
 * @returns NaN without positives
 * @example
 * averagePrecision(rankScores([0.9, 0.8], [0.1])); // 1
 */
export function averagePrecision(ranking: Ranking, draws?: Uint32Array): number {
  let [found, taken, sum] = [0, 0, 0];
  forEachGroup(ranking, draws, (up, down) => {
    found += up;
    taken += up + down;
    sum += up * (found / taken);
  });
  return sum / found;
}
