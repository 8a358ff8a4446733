import { expect, test } from 'vitest';
import { spreadEvenly } from '../src/spread.js';

test('places are as many as wanted, in order, one in each stretch', () => {
  for (const [available, wanted] of [
    [10, 3],
    [7, 7],
    [5, 9],
    [1000, 128],
  ] as const) {
    const places = spreadEvenly(available, wanted);
    const count = Math.min(available, wanted);
    expect(places).toHaveLength(count);
    for (const [i, place] of places.entries()) {
      expect(place).toBeGreaterThanOrEqual(Math.floor((i * available) / count));
      expect(place).toBeLessThan(Math.floor(((i + 1) * available) / count));
    }
    expect(spreadEvenly(available, wanted)).toEqual(places);
  }
});

test('no place of a period is left out, however often it repeats in a stretch or between them', () => {
  // Tiles of a scan lie in rows of 4 and planes of 16.
  for (const wanted of [512, 256, 128]) {
    const found = new Set(spreadEvenly(2048, wanted).map((place) => place % 16));
    expect(found.size).toBe(16);
  }
});
