import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { batchPlan, type ValidationOptions, validationBatches } from '../../../src/data/loading/batches.js';
import { type LoaderOptions, openLoader } from '../../../src/data/loading/loader.js';
import type { CorruptedBatch } from '../../../src/data/proxies/genesis/batch.js';
import type { Batch } from '../../../src/data/proxies/index.js';
import { PROXIES } from '../../../src/data/proxies/names.js';
import type { PartBatch } from '../../../src/data/proxies/parts2whole/part-batch.js';
import { DEFAULT_PART, largestPart, samplePart } from '../../../src/data/proxies/parts2whole/parts.js';
import type { SamplingOptions } from '../../../src/data/proxies/proxy.js';
import type { TileSource } from '../../../src/data/store/tile-source.js';
import { readTile, type TileStore, tilesOf } from '../../../src/data/store/tiles.js';
import { readWhole } from '../../../src/data/store/wholes.js';
import { errorOf, sampleStore, temporaryFolder } from '../store/tiles-sample.js';

const folder = temporaryFolder();
let store: TileStore;
beforeAll(async () => {
  store = await sampleStore(folder);
});

const sampling: SamplingOptions = {
  proxy: 'parts2whole',
  batch: 5,
  wholeSize: [8, 8, 4],
  part: DEFAULT_PART,
  window: { low: -1000, high: 1000 },
  intensity: 0,
  paired: false,
  seed: 7,
};
const options = (changes: Partial<LoaderOptions> = {}): LoaderOptions => ({
  ...sampling,
  ...{ store: folder, split: 'train', workers: 0, ahead: () => 4, batchAt: (i) => i },
  ...changes,
});

async function take<B extends Batch = PartBatch>(
  count: number,
  changes: Partial<LoaderOptions>,
): Promise<B[]> {
  const loader = openLoader(options(changes));
  try {
    const batches: B[] = [];
    while (batches.length < count) batches.push((await loader.next()) as B);
    return batches;
  } finally {
    await loader.close();
  }
}

describe('beyond the paper', () => {
  test('a contrastive batch has two different parts of each whole, and epochs see every whole', () => {
    const paired = { ...sampling, batch: 6, paired: true };
    const plans = Array.from({ length: 4 }, (_, i) => batchPlan(i, 12, paired)).flat();
    for (let i = 0; i < plans.length; i += 2) {
      expect(plans[i]!.tile).toBe(plans[i + 1]!.tile);
      const [a, b] = [plans[i]!, plans[i + 1]!].map(({ random }) =>
        samplePart(random, [16, 8, 8], DEFAULT_PART),
      );
      expect(a).not.toEqual(b);
    }
    expect(new Set(plans.map(({ tile }) => tile)).size).toBe(12);
  });

  test('intensities change in training, by at most as much as asked for, and never in validation', async () => {
    const [batch] = await take(1, { intensity: 0.3 });
    const changes = [...batch!.intensity!];
    expect(changes).toHaveLength(15);
    for (let i = 0; i < changes.length; i += 3) {
      const [gamma, gain, shift] = changes.slice(i, i + 3) as [number, number, number];
      expect(Math.abs(Math.log(gamma))).toBeLessThan(0.3);
      expect(Math.abs(gain - 1)).toBeLessThan(0.3);
      expect(Math.abs(gain / 2 + shift - 0.5)).toBeLessThan(0.3);
    }
    expect(new Set(changes).size).toBe(15);
    const [plain] = await take(1, {});
    expect(plain!.intensity).toBeNull();
    expect(plain!.boxes).toEqual(batch!.boxes);
    const [validation] = [
      ...validationBatches(tilesOf(store, 'validation'), { ...sampling, intensity: 0.3, limit: 5 }),
    ] as PartBatch[];
    expect([...validation!.intensity!]).toEqual(Array.from({ length: 5 }, () => [1, 1, 0]).flat());
  });
});

describe('batchPlan', () => {
  const plan = (index: number) => batchPlan(index, 12, sampling);
  const tiles = (batches: number) =>
    Array.from({ length: batches }, (_, i) => plan(i).map(({ tile }) => tile)).flat();

  test('every epoch has every tile once, in an order of its own, across batches', () => {
    const [first, second] = [tiles(5).slice(0, 12), tiles(5).slice(12, 24)];
    for (const epoch of [first, second]) expect(new Set(epoch).size).toBe(12);
    expect(second).not.toEqual(first);
  });

  test('a tile has another part in each epoch', () => {
    const samples = Array.from({ length: 24 }, (_, i) => plan(i)).flat();
    const parts = samples
      .filter(({ tile }) => tile === 3)
      .map(({ random }) => JSON.stringify(samplePart(random, [16, 8, 8], DEFAULT_PART)));
    expect(parts).toHaveLength(10);
    expect(new Set(parts).size).toBeGreaterThan(5);
  });

  test('a batch may be larger than the store', () => {
    const large = batchPlan(0, 3, { ...sampling, batch: 8 });
    expect(
      large
        .map(({ tile }) => tile)
        .slice(0, 3)
        .sort(),
    ).toEqual([0, 1, 2]);
    expect(large).toHaveLength(8);
  });
});

describe('the loader', () => {
  test('gives tiles and matrices of the planned samples', async () => {
    const [batch] = await take(1, {});
    const { wholes, boxes, box, depth, height, width, tiles, ...facts } = batch!;
    expect(facts).toEqual({
      ...{ proxy: 'parts2whole', index: 0, size: 5, used: 5, intensity: null },
      ...{ tile: [16, 8, 8], whole: [8, 8, 4] },
    });
    expect(tiles).toEqual(batchPlan(0, 12, sampling).map(({ tile }) => tile));
    tiles.forEach((tile, i) => {
      expect(wholes.slice(i * 1024, (i + 1) * 1024)).toEqual(readTile(store, store.train[tile]!));
    });
    const [x, y, z] = box;
    expect(box).toEqual(largestPart([16, 8, 8], sampling.part));
    expect(boxes.length).toBe(5 * x * y * z);
    expect([depth.length, height.length, width.length]).toEqual([5 * 4 * z, 5 * 8 * y, 5 * x * 8]);
  });

  describe.each(PROXIES)('for %s', (proxy) => {
    test('gives the same bytes with any number of threads', async () => {
      const expected = await take(7, { proxy, workers: 0 });
      expect(expected[0]).toMatchObject({ proxy });
      for (const changes of [{ workers: 1, ahead: () => 1 }, { workers: 3 }]) {
        expect(await take(7, { proxy, ...changes })).toEqual(expected);
      }
    });

    test('goes on at any batch as if it had never stopped', async () => {
      const all = await take(6, { proxy });
      expect(await take(3, { proxy, batchAt: (i) => 3 + i, workers: 2 })).toEqual(all.slice(3));
    });
  });

  test('gives wholes that are flipped at most, and what was made of them', async () => {
    const batches = await take<CorruptedBatch>(5, { proxy: 'genesis' });
    for (const { targets, corrupted, tiles, whole } of batches) {
      expect(whole).toEqual([8, 8, 4]);
      tiles.forEach((tile, i) => {
        const target = targets.slice(i * 256, (i + 1) * 256);
        const own = readWhole(tilesOf(store, 'train'), tile, [8, 8, 4], sampling.window);
        expect([...target].sort()).toEqual([...own].sort());
      });
      expect(corrupted).not.toEqual(targets);
      expect(corrupted.every((value) => value >= 0 && value <= 1)).toBe(true);
    }
    const epochs = batches.flatMap(({ tiles, corrupted }) =>
      tiles.map((tile, i) => ({ tile, image: corrupted.slice(i * 256, (i + 1) * 256) })),
    );
    const [first, second] = epochs.filter(({ tile }) => tile === 3);
    expect(second!.image).not.toEqual(first!.image);
  });

  test('another seed gives other batches', async () => {
    const [a, b] = [await take(1, {}), await take(1, { seed: 8 })];
    expect(b[0]!.depth).not.toEqual(a[0]!.depth);
  });

  test('tells how long it was waited for', async () => {
    const loader = openLoader(options());
    expect(loader.waitSeconds()).toBe(0);
    await loader.next();
    const waited = loader.waitSeconds();
    expect(waited).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(loader.waitSeconds()).toBe(waited);
    await loader.close();
  });

  test.each([0, 2])('with %i threads, a changed tile is the same error', async (workers) => {
    const spoilt = await sampleStore(join(temporaryFolder(), 'spoilt'));
    const path = join(spoilt.folder, 'shards/scan0.npy');
    const bytes = readFileSync(path);
    bytes[128 + 3 * 2048]! ^= 1;
    writeFileSync(path, bytes);
    const error = await take(5, { store: spoilt.folder, workers }).catch((reason) => reason);
    expect(error).toMatchObject({ name: 'UserError', kind: 'data', facts: { where: path } });
    expect(error.message).toContain('tile 3 of scan scan0');
  });

  test('a defect in a thread is thrown as it is, now and for all later batches', async () => {
    // Parts that are no numbers are a defect of the caller, which no thread survives.
    const broken = { ...DEFAULT_PART, scale: undefined as unknown as [number, number] };
    const loader = openLoader(options({ part: broken, workers: 1 }));
    for (const _ of [1, 2]) {
      const error = await loader.next().catch((reason) => reason);
      expect(error).toMatchObject({ name: 'TypeError', message: expect.stringContaining('iterable') });
    }
    await loader.close();
  });

  test('closing ends a batch that is being waited for', async () => {
    const loader = openLoader(options({ workers: 1 }));
    const waiting = loader.next();
    await Promise.all([expect(waiting).rejects.toThrow('closed'), loader.close()]);
  });

  test.each<[Partial<LoaderOptions>, string]>([
    [{ workers: -1 }, 'workers'],
    [{ workers: Number.NaN }, 'workers'],
    [{ batch: 0 }, 'batch'],
    [{ batch: 2.5 }, 'batch'],
  ])('refuses %o', (changes, where) => {
    const error = errorOf(() => openLoader(options(changes)));
    expect(error).toMatchObject({ name: 'UserError', kind: 'usage', facts: { where } });
  });

  test('wholes must divide the tiles', () => {
    const error = errorOf(() => openLoader(options({ wholeSize: [8, 8, 3] })));
    expect(error).toMatchObject({ name: 'UserError', kind: 'config' });
    expect(error.message).toContain('wholes of 8×8×3, tiles of 16×8×8');
  });
});

describe('validation', () => {
  test.each(PROXIES)('for %s is the same every time, and fills up its last batch', (proxy) => {
    const all = [...validationBatches(tilesOf(store, 'validation'), { ...sampling, proxy, limit: 100 })];
    expect(all.map(({ used }) => used)).toEqual([5, 5, 2]);
    expect(all.flatMap(({ tiles, used }) => tiles.slice(0, used))).toEqual(
      Array.from({ length: 12 }, (_, i) => i),
    );
    expect(all[2]!.tiles).toEqual([10, 11, 11, 11, 11]);
    expect([...validationBatches(tilesOf(store, 'validation'), { ...sampling, proxy, limit: 100 })]).toEqual(
      all,
    );
  });

  test.each<[Partial<ValidationOptions>, string]>([
    [{ batch: 0 }, 'batch'],
    [{ batch: -1 }, 'batch'],
    [{ limit: 0 }, 'limit'],
    [{ limit: Number.NaN }, 'limit'],
    [{ share: { rank: 0, size: 0 } }, 'share.size'],
    [{ share: { rank: 2, size: 2 } }, 'share.rank'],
    [{ share: { rank: -1, size: 2 } }, 'share.rank'],
  ])('refuses %o', (changes, where) => {
    const batches = validationBatches(tilesOf(store, 'validation'), { ...sampling, limit: 5, ...changes });
    const error = errorOf(() => batches.next());
    expect(error).toMatchObject({ name: 'UserError', kind: 'usage', facts: { where } });
  });

  test('on fewer wholes spreads them, with the same parts', () => {
    const [few] = [
      ...validationBatches(tilesOf(store, 'validation'), { ...sampling, limit: 3 }),
    ] as PartBatch[];
    const tiles = few!.tiles.slice(0, 3);
    expect(tiles.map((tile) => Math.floor(tile / 4))).toEqual([0, 1, 2]);
    const all = [
      ...validationBatches(tilesOf(store, 'validation'), { ...sampling, limit: 12 }),
    ] as PartBatch[];
    const length = 4 * few!.box[2];
    const depths = all.flatMap(({ depth, used }) =>
      Array.from({ length: used }, (_, i) => depth.slice(i * length, (i + 1) * length)),
    );
    for (const [i, tile] of tiles.entries())
      expect(few!.depth.slice(i * length, (i + 1) * length)).toEqual(depths[tile]);
  });
});

test('a whole stays in 0 … 1, whatever digits the ends of its window have', () => {
  const tiles = (value: number) => ({
    ...{ size: [2, 2, 2] as const, count: 1 },
    read: () => new Int16Array(8).fill(value),
  });
  for (const low of [-999.9, 0.7])
    for (const value of [-1024, 3000]) {
      const whole = readWhole(tiles(value) as unknown as TileSource, 0, [2, 2, 2], { low, high: 1000.3 });
      for (const voxel of whole) expect(voxel).toBe(value < 0 ? 0 : 1);
    }
});
