import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { XYZ } from '../../../src/data/scan/volume.js';
import { manifestPath } from '../../../src/data/store/manifest.js';
import { drawSplit, readSplit } from '../../../src/data/store/split.js';
import { openTileStore, readTile } from '../../../src/data/store/tiles.js';
import { cutTile, isRejected, tileOrigins } from '../../../src/data/store/tiling.js';
import { UserError } from '../../../src/errors.js';
import { errorOf, noiseVolume, sampleStore, temporaryFolder } from './tiles-sample.js';

const root = temporaryFolder();
let count = 0;
const newFolder = () => join(root, `${count++}`);

describe('tileOrigins', () => {
  const options = { size: [128, 128, 64] as XYZ, zBorder: 0, xyBorder: 0, reject: 'none' as const };

  test('a LUNA16 slice is tiled 4×4, and z is centred', () => {
    const origins = tileOrigins([512, 512, 133], options);
    expect(origins).toHaveLength(4 * 4 * 2);
    expect(origins[0]).toEqual([0, 0, 2]);
    expect(origins[1]).toEqual([128, 0, 2]);
    expect(origins.at(-1)).toEqual([384, 384, 66]);
  });

  test('borders are left out on both sides', () => {
    const origins = tileOrigins([512, 512, 260], { ...options, zBorder: 30, xyBorder: 100 });
    expect(new Set(origins.map(([, , z]) => z))).toEqual(new Set([34, 98, 162]));
    expect(new Set(origins.map(([x]) => x))).toEqual(new Set([128, 256]));
  });

  test.each([[[127, 512, 64]], [[512, 512, 63]]] as XYZ[][])('no tile fits into %j', (size) => {
    expect(tileOrigins(size!, options)).toEqual([]);
  });
});

test('a tile holds the voxels of its box, rounded and clamped to int16', () => {
  const { voxels: noise, ...grid } = noiseVolume([5, 4, 3], 0);
  const voxels = Float32Array.from(noise, (hu) => hu + 0.4);
  voxels[1 + 5 * (2 + 4 * 1)] = 1e6;
  voxels[2 + 5 * (2 + 4 * 1)] = -1e6;
  const tile = cutTile({ ...grid, voxels }, [1, 2, 1], [3, 2, 2]);
  const at = (x: number, y: number, z: number) => noise[x + 5 * (y + 4 * z)]!;
  expect([...tile]).toEqual([
    ...[32767, -32768, at(3, 2, 1), at(1, 3, 1), at(2, 3, 1), at(3, 3, 1)],
    ...[at(1, 2, 2), at(2, 2, 2), at(3, 2, 2), at(1, 3, 2), at(2, 3, 2), at(3, 3, 2)],
  ]);
});

test('tiles of air, or with much soft tissue, can be left out', () => {
  const tile = (value: number, share: number, other: number) =>
    Int16Array.from({ length: 100 }, (_, i) => (i < 100 * share ? value : other));
  expect(isRejected(tile(-1000, 0.95, 0), 'air')).toBe(true);
  expect(isRejected(tile(-1000, 0.94, 0), 'air')).toBe(false);
  expect(isRejected(tile(-801, 1, 0), 'air')).toBe(true);
  expect(isRejected(tile(-800, 1, 0), 'air')).toBe(false);
  expect(isRejected(tile(-150, 0.16, -700), 'softTissue')).toBe(true);
  expect(isRejected(tile(-150, 0.15, -700), 'softTissue')).toBe(false);
  expect(isRejected(tile(-151, 1, 0), 'softTissue')).toBe(false);
  expect(isRejected(tile(-1000, 1, 0), 'none')).toBe(false);
});

describe('a tile store', () => {
  test('gives back what was written', async () => {
    const store = await sampleStore(newFolder());
    expect([store.train.length, store.validation.length]).toEqual([12, 12]);
    for (const [seed, refs] of [store.train, store.validation].entries()) {
      const volume = noiseVolume([32, 24, 16], seed);
      for (const ref of refs) {
        const { offset } = ref.scan.tiles[ref.index]!;
        expect(readTile(store, ref)).toEqual(cutTile(volume, offset, store.size));
      }
    }
  });

  test('is the same to the bit, hash included, when it is made again', async () => {
    const [a, b] = [await sampleStore(newFolder()), await sampleStore(newFolder())];
    expect(b.hash).toBe(a.hash);
    for (const { shard } of a.manifest.scans)
      expect(readFileSync(join(b.folder, shard)).equals(readFileSync(join(a.folder, shard)))).toBe(true);
  });

  test('has shards that NumPy can map: int16 [n, D, H, W], data aligned to 64 bytes', async () => {
    const { folder } = await sampleStore(newFolder());
    const bytes = readFileSync(join(folder, 'shards/scan0.npy'));
    const headerBytes = 10 + bytes.readUInt16LE(8);
    expect(headerBytes % 64).toBe(0);
    expect(bytes.toString('latin1', 1, 6)).toBe('NUMPY');
    expect(bytes.toString('latin1', 10, headerBytes)).toContain(
      "{'descr': '<i2', 'fortran_order': False, 'shape': (12, 8, 8, 16), }",
    );
    expect(bytes.length).toBe(headerBytes + 12 * 8 * 8 * 16 * 2);
  });

  test('a changed byte is found when its tile is read, and others still can be read', async () => {
    const store = await sampleStore(newFolder());
    const path = join(store.folder, 'shards/scan0.npy');
    const bytes = readFileSync(path);
    bytes[128 + 5 * 2048 + 77]! ^= 1;
    writeFileSync(path, bytes);
    const error = errorOf(() => readTile(store, store.train[5]!));
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ kind: 'data', facts: { where: path } });
    expect(error.message).toMatch(
      /tile 5 of scan scan0 .*has changed since it was prepared[\s\S]*prepare.* again/,
    );
    expect(readTile(store, store.train[4]!)).toHaveLength(1024);
  });

  test.each([10, 1025])('is not read into an array of %i values', async (length) => {
    const store = await sampleStore(newFolder());
    const error = errorOf(() => readTile(store, store.train[0]!, new Int16Array(length)));
    expect(error).toMatchObject({
      ...{ name: 'UserError', kind: 'usage' },
      facts: { where: 'target', got: String(length), expected: '1024, for 16×8×8 voxels' },
    });
  });

  const edit = (folder: string, change: (manifest: Record<string, unknown>) => void) => {
    const manifest = JSON.parse(readFileSync(manifestPath(folder), 'utf8'));
    change(manifest);
    writeFileSync(manifestPath(folder), JSON.stringify(manifest));
  };

  test.each<[string, (folder: string) => void, RegExp]>([
    ['has no manifest', (folder) => rmSync(manifestPath(folder)), /contains no tiles/],
    ['has a torn manifest', (folder) => truncateSync(manifestPath(folder), 500), /damaged/],
    [
      'is of another version',
      (folder) => edit(folder, (m) => (m.version = 2)),
      /a different version[\s\S]*version 2[\s\S]*version 1/,
    ],
    ['lacks a shard', (folder) => rmSync(join(folder, 'shards/scan1.npy')), /scan1\.npy[\s\S]*no such file/],
    [
      'has a short shard',
      (folder) => truncateSync(join(folder, 'shards/scan1.npy'), 9000),
      /scan1\.npy[\s\S]*9000 bytes/,
    ],
    [
      'claims another size',
      (folder) => edit(folder, (m) => (m.size = [8, 16, 8])),
      /header of a different array/,
    ],
    ['claims an endless size', (folder) => edit(folder, (m) => (m.size = [1e9, 1e9, 1e9])), /damaged/],
    [
      'points out of its folder',
      (folder) => edit(folder, (m) => ((m.scans as { shard: string }[])[0]!.shard = 'shards/../../x.npy')),
      /scans\.0\.shard/,
    ],
  ])('is refused when it %s', async (_, damage, message) => {
    const { folder } = await sampleStore(newFolder());
    damage(folder);
    const error = errorOf(() => openTileStore(folder));
    expect(error).toMatchObject({ name: 'UserError', kind: 'data' });
    expect(error.message).toMatch(message);
  });
});

describe('the split', () => {
  const ids = Array.from({ length: 50 }, (_, i) => `scan-${i}`);

  test('has the share that was asked for, and depends on the seed', () => {
    const validation = (seed: number) =>
      [...drawSplit(ids, 0.2, seed)].filter(([, split]) => split === 'validation');
    expect(validation(1)).toHaveLength(10);
    expect(validation(1)).toEqual(validation(1));
    expect(validation(2)).not.toEqual(validation(1));
  });

  test('hardly changes when a scan is added, and not with the order', () => {
    const before = drawSplit(ids, 0.2, 1);
    const after = drawSplit(['another', ...ids].reverse(), 0.2, 1);
    expect(ids.filter((id) => before.get(id) !== after.get(id)).length).toBeLessThanOrEqual(1);
  });

  test.each([
    [2, 0.01, 1],
    [2, 1, 1],
    [2, 0, 0],
    [1, 0.2, 0],
  ])('%i scans at %f leave both sides something', (scans, fraction, expected) => {
    const split = [...drawSplit(ids.slice(0, scans), fraction, 1).values()];
    expect(split.filter((s) => s === 'validation')).toHaveLength(expected);
  });

  const file = (name: string, text: string) => {
    const path = join(root, name);
    writeFileSync(path, text);
    return path;
  };

  test('can be given as JSON or CSV', () => {
    const json = file('split.json', '{"train": ["a", "c"], "validation": ["b"]}');
    const csv = file('split.csv', '\uFEFFid,split\r\na,train\r\nb,validation\r\nc,train\r\n');
    expect(readSplit(json, ['a', 'b'])).toEqual(readSplit(csv, ['a', 'b']));
    expect(readSplit(csv, ['b']).get('b')).toBe('validation');
  });

  test.each([
    ['no.json', 'train: a', /not JSON/],
    ['other.json', '{"train": ["a"], "val": []}', /not a valid split/],
    ['twice.json', '{"train": ["a"], "validation": ["a"]}', /both/],
    ['missing.csv', 'b,train', /neither[\s\S]*a/],
    ['word.csv', 'a,test', /a,test/],
  ])('%s is refused', (name, text, message) => {
    const error = errorOf(() => readSplit(file(name, text), ['a']));
    expect(error).toMatchObject({ name: 'UserError', kind: 'config' });
    expect(error.message).toMatch(message);
  });
});
