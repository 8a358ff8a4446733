import { expect, test } from 'vitest';
import { mostVaried, onlyTiles, shownTiles } from '../../src/commands/shown-tiles.js';
import { resolveConfig } from '../../src/config/pretraining.js';
import { openTileStore, tilesOf } from '../../src/data/store/tiles.js';
import { noiseVolume, sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';

test('scans take turns, each with its most varied tiles', () => {
  const candidates = [
    ...[0.3, 0.5, 0.4].map((deviation, i) => ({ tile: i, scan: 'a', deviation })),
    ...[0, 0.1].map((deviation, i) => ({ tile: 3 + i, scan: 'b', deviation })),
    { tile: 5, scan: 'c', deviation: 0 },
  ];
  expect(mostVaried(candidates, 1)).toEqual([1]);
  expect(mostVaried(candidates, 3)).toEqual([1, 4, 5]);
  expect(mostVaried(candidates, 4)).toEqual([1, 2, 4, 5]);
  expect(mostVaried(candidates, 9)).toEqual([0, 1, 2, 3, 4, 5]);
});

test('tiles of air are not shown where there are others, nor what is beyond the window', async () => {
  const folder = temporaryFolder();
  // Tiles 2i are x < 16: air, or bright beyond the window; the others are noise.
  await sampleStore(folder, (size, seed) => {
    const noise = noiseVolume(size, seed);
    const voxels = noise.voxels.map((hu, i) => (i % 32 < 16 ? (i % 2 ? 3000 : 9000) : hu));
    return { ...noise, voxels };
  });
  const config = resolveConfig({ preset: 'tiny', config: { whole: [16, 8, 8] } });
  const shown = shownTiles(openTileStore(folder), config, 4);
  expect(shown).toHaveLength(4);
  expect(shown.every((tile) => tile % 2 === 1)).toBe(true);
});

test('some tiles are read as if there were no others', async () => {
  const tiles = tilesOf(await sampleStore(temporaryFolder()), 'validation');
  const some = onlyTiles(tiles, [7, 2]);
  expect([some.count, some.size]).toEqual([2, tiles.size]);
  expect([0, 1].map((tile) => [...some.read(tile)])).toEqual([7, 2].map((tile) => [...tiles.read(tile)]));
});
