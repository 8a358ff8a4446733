import type { Point } from './axes.js';

/**
 * Exponential moving average along the points, corrected for its start as in Adam, so that the first value
 * is the first point's.
 * @param window points after which a value has lost about two thirds of its weight
 */
export function smooth(points: readonly Point[], window: number): Point[] {
  const keep = 1 - 1 / Math.max(window, 1);
  let [sum, weight] = [0, 0];
  return points.map(([x, y]) => {
    sum = keep * sum + (1 - keep) * y;
    weight = keep * weight + (1 - keep);
    return [x, sum / weight];
  });
}

/**
 * At most about `most` of the points, for a drawing that looks the same: of every stretch the lowest and
 * the highest one, and the last of all.
 */
export function thin(points: readonly Point[], most: number): Point[] {
  if (points.length <= most) return [...points];
  const stretch = Math.ceil((2 * points.length) / most);
  const kept: Point[] = [];
  for (let start = 0; start < points.length; start += stretch) {
    const some = points.slice(start, start + stretch);
    const low = some.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = some.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...(low[0] <= high[0] ? [low, high] : [high, low]));
  }
  return [...kept, points.at(-1)!];
}

/**
 * Each learning rate at the last step that was made with it, and the first one at the first step too.
 * @param most about as many of the rates of a warm-up, which may be another at each step
 */
export function heldRates(
  rates: readonly { readonly step: number; readonly learningRate: number }[],
  most: number,
): Point[] {
  const held = rates
    .filter(({ learningRate }, i) => i === 0 || learningRate !== rates[i + 1]?.learningRate)
    .map(({ step, learningRate }): Point => [step, learningRate]);
  const top = held.reduce((best, [, rate], i) => (rate > held[best]![1] ? i : best), 0);
  return [...thin(held.slice(0, top), most), ...held.slice(top)];
}
