/** Rows of an index as points of a plane, and the hits among them. */
import type { XYZ } from '../src/data/scan/volume.js';

/** A scan, or a region of one. */
export interface Region {
  /** The scan's name. */
  readonly source: string;
  /** Middle of the region in LPS mm; null for a whole scan. */
  readonly centre: XYZ | null;
}

export interface MapPoint extends Region {
  readonly x: number;
  readonly y: number;
}

interface FoundPoint extends MapPoint {
  /** How alike it is; null where it is no hit. */
  readonly score: number | null;
}

const keyOf = ({ source, centre }: Region): string => JSON.stringify([source, centre]);

/** Marks the hits among the points, which may be some of the rows only. */
export function foundPoints(
  map: readonly MapPoint[],
  hits: readonly (Region & { readonly score: number })[],
): readonly FoundPoint[] {
  const scores = new Map(hits.map((hit) => [keyOf(hit), hit.score]));
  return map.map((point) => ({ ...point, score: scores.get(keyOf(point)) ?? null }));
}

/** Where the scan belongs: between its neighbours, the nearer the more alike; null where none of them is on the map. */
export function placeAmong(points: readonly FoundPoint[]): readonly [x: number, y: number] | null {
  const weighted = points.map(({ x, y, score }) => ({ x, y, weight: Math.max(score ?? 0, 0) ** 4 }));
  const sum = weighted.reduce((total, { weight }) => total + weight, 0);
  if (sum === 0) return null;
  const mean = (of: 'x' | 'y') =>
    weighted.reduce((total, point) => total + point.weight * point[of], 0) / sum;
  return [mean('x'), mean('y')];
}
