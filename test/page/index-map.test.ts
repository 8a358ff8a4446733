import { expect, test } from 'vitest';
import { foundPoints, type MapPoint, placeAmong } from '../../page/index-map.js';

const point = (source: string, z: number | null, x: number, y: number): MapPoint => ({
  ...{ source, x, y },
  centre: z === null ? null : [0, 0, z],
});
const MAP = [point('a', 0, 0, 0), point('a', 10, 4, 0), point('a', 20, 0, 8), point('b', 0, 9, 9)];

test('a hit is the window that was found, not every window of its scan', () => {
  const found = foundPoints(MAP, [{ source: 'a', centre: [0, 0, 10], score: 0.9 }]);
  expect(found.map(({ score }) => score)).toEqual([null, 0.9, null, null]);
});

test('a whole scan is a hit by its name', () => {
  const found = foundPoints(
    [point('a', null, 1, 2), point('b', null, 3, 4)],
    [{ source: 'b', centre: null, score: 0.5 }],
  );
  expect(found.map(({ score }) => score)).toEqual([null, 0.5]);
});

test('the scan lies between its hits, nearer to those that are more alike', () => {
  const hits = (...scores: number[]) =>
    foundPoints(
      MAP,
      scores.map((score, i) => ({ source: 'a', centre: [0, 0, 10 * (i + 1)] as const, score })),
    );
  expect(placeAmong(hits(0.5, 0.5))).toEqual([2, 4]);
  expect(placeAmong(hits(1, 0.5))![0]).toBeGreaterThan(3);
});

test('the scan has no place where none of its hits is on the map, or like it', () => {
  expect(placeAmong(foundPoints(MAP, [{ source: 'a', centre: [0, 0, 5], score: 1 }]))).toBeNull();
  expect(placeAmong(foundPoints(MAP, [{ source: 'b', centre: [0, 0, 0], score: -0.2 }]))).toBeNull();
});
