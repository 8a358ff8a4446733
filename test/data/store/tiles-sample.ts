import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Volume, XYZ } from '../../../src/data/scan/volume.js';
import { manifestPath, manifestText, type StoreOptions } from '../../../src/data/store/manifest.js';
import { openTileStore, type TileStore } from '../../../src/data/store/tiles.js';
import { tileOrigins } from '../../../src/data/store/tiling.js';
import { writeScan } from '../../../src/data/store/writer.js';
import { randomStream } from '../../../src/random.js';

/** A folder that is gone when the tests of a file are done. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'p2w-tiles-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A scan of random HU, 1 mm voxels. */
export function noiseVolume(size: XYZ, seed: number): Volume {
  const random = randomStream(seed, 'noise');
  const voxels = Int16Array.from({ length: size[0] * size[1] * size[2] }, () => random.integer(2000) - 1000);
  return { size, spacing: [1, 1, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1], voxels };
}

/** The options of a small store. */
export const TILE_OPTIONS: StoreOptions = {
  size: [16, 8, 8],
  zBorder: 0,
  xyBorder: 0,
  reject: 'none',
  orientation: 'LPS',
  normalise: 'hu',
  seed: 1,
  valFraction: 0.5,
};

/** A store of two scans of 12 tiles each, one for training and one for validation; of noise unless told otherwise. */
export async function sampleStore(
  folder: string,
  volumeOf: (size: XYZ, seed: number) => Volume = noiseVolume,
  more: Partial<StoreOptions> = {},
): Promise<TileStore> {
  const options = { ...TILE_OPTIONS, ...more };
  mkdirSync(folder, { recursive: true });
  const scans = [];
  for (const [i, split] of (['train', 'validation'] as const).entries()) {
    const volume = volumeOf([32, 24, 16], i);
    const files = [{ name: `scan${i}.nii`, bytes: 1, modifiedMs: 0 }];
    const origins = tileOrigins(volume.size, options);
    const scan = await writeScan(folder, { id: `scan${i}`, files, volume, origins }, options.size);
    scans.push({ ...scan, split });
  }
  const { size } = options;
  const manifest = { createdBy: 'a test', size, options, scans, failures: [] };
  writeFileSync(manifestPath(folder), manifestText(manifest));
  return openTileStore(folder);
}

/** The error that a function throws. */
export function errorOf(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}
