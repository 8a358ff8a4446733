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
