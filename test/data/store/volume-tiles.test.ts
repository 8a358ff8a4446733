import { expect, test } from 'vitest';
import type { TileSource } from '../../../src/data/store/tile-source.js';
import { tilesOfVolume } from '../../../src/data/store/volume-tiles.js';
import { noiseVolume } from './tiles-sample.js';

const SIZE = [8, 8, 8] as const;
/** So many tiles, one behind the other. */
const scanOf = (tiles: number) => noiseVolume([8, 8, 8 * tiles], 1);
const contents = ({ count, read }: TileSource): string[] =>
  Array.from({ length: count }, (_, tile) => {
    const voxels = new Int16Array(8 ** 3);
    read(tile, voxels);
    return voxels.join();
  });

test.each([
  [2, 1, 1],
  [3, 2, 1],
  [4, 3, 1],
  [5, 4, 1],
  [12, 11, 1],
  [13, 11, 2],
])('of %d tiles, %d are trained on and %d others are for validation', (tiles, trained, validated) => {
  const { training, validation } = tilesOfVolume(scanOf(tiles), SIZE, 'hu');
  expect([training.count, validation.count]).toEqual([trained, validated]);
  expect(new Set([...contents(training), ...contents(validation)]).size).toBe(tiles);
});

test('a scan of one tile is refused', () => {
  expect(() => tilesOfVolume(scanOf(1), SIZE, 'hu')).toThrow(/too little of this scan[\s\S]*1 tiles/);
});
