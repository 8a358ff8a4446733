import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { formatPrepare, type PrepareOptions, prepare, prepareShard } from '../../src/commands/prepare.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import type { Volume, Voxels, XYZ } from '../../src/data/scan/volume.js';
import { identifyScans } from '../../src/data/store/sources.js';
import { openTileStore, readTile } from '../../src/data/store/tiles.js';
import { cutTile } from '../../src/data/store/tiling.js';
import { acquireLock } from '../../src/lock.js';
import { silent } from '../../src/progress.js';
import { writeBalls } from '../data/samples/labelled-data.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';

const root = temporaryFolder();
let count = 0;
const newFolder = () => join(root, `${count++}`);
const SIZE: XYZ = [16, 8, 8];

/** Writes scans as compressed MetaImage: by name, noise of 32×24×16 voxels. */
async function scans(folder: string, ...names: string[]): Promise<string> {
  for (const [i, name] of names.entries()) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    await writeMetaImage(join(folder, name), noiseVolume([32, 24, 16], i), { compressed: true });
  }
  return folder;
}

const run = (input: string, out: string, options: Partial<PrepareOptions> = {}) =>
  prepare({ input: [input], out, size: SIZE, ...options });

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable('it did not fail'),
    (error) => error,
  );

describe('prepare', () => {
  test('gives the same bytes with any number of threads, and the same errors', async () => {
    const input = newFolder();
    mkdirSync(input);
    for (let i = 0; i < 4; i++) await writeMetaImage(join(input, `${i}.mha`), noiseVolume([512, 512, 32], i));
    writeFileSync(join(input, 'broken.mha'), 'no header');
    const [one, three] = [newFolder(), newFolder()];
    const options = { size: [128, 128, 32] as XYZ, valFraction: 0.25 };
    const first = await run(input, one, { ...options, workers: 1 });
    const second = await run(input, three, { ...options, workers: 3 });
    expect(second).toEqual({ ...first, out: three });
    expect(second.failures).toMatchObject([{ source: join(input, 'broken.mha') }]);
    for (let i = 0; i < 4; i++)
      expect(
        readFileSync(join(three, `shards/${i}.npy`)).equals(readFileSync(join(one, `shards/${i}.npy`))),
      ).toBe(true);
    // A full disk, or here a folder where a file must go, stops all threads.
    rmSync(join(three, 'shards/2.npy'));
    mkdirSync(join(three, 'shards/2.npy/x'), { recursive: true });
    expect(await failure(run(input, three, { ...options, workers: 3 }))).toMatchObject({ kind: 'disk' });
    const files = readdirSync(three, { recursive: true, encoding: 'utf8' });
    expect(files.filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('copies of a scan, whatever they are called, are for the same purpose, and that is said', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `${i}.mha`);
    const input = await scans(newFolder(), ...names);
    for (const i of [1, 3, 5, 7]) copyFileSync(join(input, `${i}.mha`), join(input, `copy-of-${i}.mha`));
    const said: string[] = [];
    const reporter = { ...silent, log: (line: string) => void said.push(line) };
    const { scans: found } = await run(input, newFolder(), { valFraction: 0.4, reporter });
    const split = new Map(found.map((scan) => [scan.id, scan.split]));
    expect(new Set(split.values()).size).toBe(2);
    for (const i of [1, 3, 5, 7]) expect(split.get(`copy-of-${i}`)).toBe(split.get(`${i}`));
    expect(said).toEqual(
      [1, 3, 5, 7].map((i) => `copy-of-${i}: the same voxels as ${i}, and for the same purpose`),
    );
  });

  test('makes a store of all tiles, split by scan', async () => {
    const input = await scans(newFolder(), 'a.mha', 'b.mhd', 'c.mha', 'd.mha');
    const out = newFolder();
    const progress: string[] = [];
    const summary = await run(input, out, {
      valFraction: 0.25,
      reporter: {
        log: () => {},
        start: ({ label, total, unit }) => ({
          update: (done) => progress.push(`${label} ${done}/${total} ${unit}`),
          log: () => {},
          stop: () => progress.push('stop'),
        }),
      },
    });
    expect(progress).toEqual([...[0, 1, 2, 3, 4].map((done) => `prepare ${done}/4 scans`), 'stop']);
    expect(summary).toMatchObject({ out, failures: [], trainTiles: 36, validationTiles: 12 });
    expect(summary.scans.map(({ id, tiles }) => [id, tiles])).toEqual(
      ['a', 'b', 'c', 'd'].map((id) => [id, 12]),
    );
    const store = openTileStore(out);
    expect(store.hash).toBe(summary.hash);
    expect(new Set(store.validation.map(({ scan }) => scan.id)).size).toBe(1);
    for (const ref of [...store.train, ...store.validation]) {
      const volume = noiseVolume([32, 24, 16], 'abcd'.indexOf(ref.scan.id));
      expect(readTile(store, ref)).toEqual(cutTile(volume, ref.scan.tiles[ref.index]!.offset, SIZE));
    }
    expect(formatPrepare(summary)).toContain('b: 12 tiles');
  });

  test('turns scans to LPS', async () => {
    const input = newFolder();
    mkdirSync(input);
    const plain = noiseVolume([16, 8, 8], 0);
    const flipped: Volume = { ...plain, direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1] };
    await writeNifti(join(input, 'ras.nii.gz'), flipped);
    const out = newFolder();
    await run(input, out);
    const store = openTileStore(out);
    const first = readTile(store, store.train[0]!).subarray(0, 16);
    expect([...first]).toEqual([...plain.voxels.subarray(112, 128)].reverse());
  });

  test('rounds values that are not whole', async () => {
    const input = newFolder();
    mkdirSync(input);
    const volume = noiseVolume([16, 8, 8], 0);
    await writeMetaImage(join(input, 'f.mha'), {
      ...volume,
      voxels: Float32Array.from(volume.voxels, (v) => v + 0.25),
    });
    const out = newFolder();
    await run(input, out);
    const store = openTileStore(out);
    expect(readTile(store, store.train[0]!)).toEqual(volume.voxels);
  });

  test('reports scans that cannot be used, and goes on with the others', async () => {
    const input = await scans(newFolder(), 'broken.mha', 'good.mha', 'headless.mhd');
    truncateSync(join(input, 'broken.mha'), 900);
    rmSync(join(input, 'headless.zraw'));
    await writeMetaImage(join(input, 'small.mha'), noiseVolume([32, 24, 7], 0));
    const whole = noiseVolume([32, 24, 16], 0);
    const labels = whole.voxels.map((_, i) => Math.floor(i / 1000) % 5);
    await writeMetaImage(join(input, 'mask.mha'), { ...whole, voxels: labels });
    const summary = await run(input, newFolder());
    expect(summary.scans.map(({ id }) => id)).toEqual(['good']);
    const messages = Object.fromEntries(
      summary.failures.map((f) => [f.source.slice(input.length + 1), f.message]),
    );
    expect(Object.keys(messages).sort()).toEqual(['broken.mha', 'headless.mhd', 'mask.mha', 'small.mha']);
    expect(messages['mask.mha']).toContain('this is a mask, not a scan');
    expect(messages['small.mha']).toMatch(/smaller than a tile[\s\S]*32×24×7[\s\S]*16×8×8/);
    expect(messages['headless.mhd']).toContain('headless.zraw');
    expect(formatPrepare(summary)).toMatch(/broken\.mha: failed[\s\S]*4 failed/);
  });

  test('leaves out tiles of air, and scans without any other', async () => {
    const input = newFolder();
    mkdirSync(input);
    const volume = noiseVolume([32, 8, 8], 0);
    const air = volume.voxels.map((hu, i) => (i % 32 < 16 ? -1000 : hu));
    await writeMetaImage(join(input, 'half.mha'), { ...volume, voxels: air });
    await writeMetaImage(join(input, 'empty.mha'), { ...volume, voxels: air.map(() => -1000) });
    const out = newFolder();
    const summary = await run(input, out, { reject: 'air' });
    expect(openTileStore(out).manifest.scans.map((scan) => scan.tiles.map(({ offset }) => offset))).toEqual([
      [[16, 0, 0]],
    ]);
    expect(summary.failures[0]!.message).toContain('all 2 tiles of the scan are rejected');
  });

  test('takes a scan once, however it is reached', async () => {
    const input = await scans(newFolder(), 'a.mha');
    symlinkSync(join(input, 'a.mha'), join(input, 'link.mha'));
    const out = newFolder();
    const summaries = [];
    for (const _ of [1, 2])
      summaries.push(await prepare({ input: [input, join(input, 'a.mha')], out, size: SIZE }));
    expect(summaries[1]).toEqual(summaries[0]);
    expect(summaries[0]).toMatchObject({ scans: [{ id: 'a' }], failures: [] });
  });

  test('names scans that have the same file name by their path', async () => {
    const input = await scans(newFolder(), 'p1/ct.mha', 'p2/ct.mha', 'p2/other.mha', 'p2/other.mhd');
    const out = newFolder();
    const { scans: found } = await run(input, out);
    expect(found.map(({ id }) => id)).toEqual(['p1/ct', 'p2/ct', 'p2/other.mha', 'p2/other.mhd']);
    expect(existsSync(join(out, 'shards/p1/ct.npy'))).toBe(true);
    // Even where one name is the beginning of another, no two are the same.
    expect([...identifyScans(['d/x.mhd', 'd/x.nii', 'd/x.mhd.nii']).keys()]).toEqual([
      'x.mhd',
      'x.nii',
      'x.mhd.nii',
    ]);
    // Nor does one beside the folders of others need its extension.
    expect([...identifyScans(['d/a.nii.gz', 'd/x/a.nii.gz']).keys()]).toEqual(['a', 'x/a']);
    expect([...identifyScans(['d/a.nii', 'd/a.mha', 'd/x/a.nii']).keys()]).toEqual(['a.nii', 'a.mha', 'x/a']);
  });

  test('splits as a file says', async () => {
    const input = await scans(newFolder(), 'a.mha', 'b.mha');
    const split = join(input, 'split.csv');
    writeFileSync(split, 'a,validation\nb,train\n');
    const { scans: found } = await run(input, newFolder(), { split });
    expect(found.map((scan) => scan.split)).toEqual(['validation', 'train']);
    writeFileSync(split, 'a,validation\n');
    expect(await failure(run(input, newFolder(), { split }))).toMatchObject({
      kind: 'config',
      facts: { got: 'b' },
    });
  });

  test.each<[Partial<PrepareOptions>, RegExp]>([
    [{ size: [16, 8, 12] }, /16×8×12[\s\S]*multiples of 8/],
    [{ size: [0, 8, 8] }, /size/],
    [{ zBorder: -1 }, /zBorder/],
    [{ valFraction: 1.5 }, /valFraction: expected at most 1, got 1\.5/],
    [{ workers: 1000 }, /workers: too many threads[\s\S]*1000/],
    [{ workers: 0 }, /workers/],
  ])('refuses %j', async (options, message) => {
    const error = await failure(run(await scans(newFolder(), 'a.mha'), newFolder(), options));
    expect(error).toMatchObject({ name: 'UserError', kind: 'usage' });
    expect(error.message).toMatch(message);
  });
});

test('prepare needs scans', async () => {
  const out = newFolder();
  for (const of of [prepare, (options: PrepareOptions) => prepareShard(options, { index: 1, count: 2 })]) {
    const error = await failure(of({ input: [], out, size: SIZE }));
    expect(error).toMatchObject({ name: 'UserError', kind: 'usage', facts: { where: 'input' } });
  }
  expect(existsSync(out)).toBe(false);
});

describe('the folder of a store', () => {
  const written = (folder: string) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();

  test('is not the folder of the scans, nor inside or around it', async () => {
    const input = await scans(newFolder(), 'sub/a.mha');
    const before = written(root);
    const link = newFolder();
    symlinkSync(input, link);
    for (const [out, what] of [
      [input, 'the same folder as its input'],
      [link, 'the same folder as its input'],
      [join(input, 'tiles/here'), 'inside its own input folder'],
      [root, 'a folder that contains its own input'],
      [join(input, 'sub'), 'inside its own input folder'],
    ] as const)
      expect(await failure(run(input, out))).toMatchObject({
        ...{ name: 'UserError', kind: 'usage', facts: { where: out } },
        message: expect.stringContaining(what),
      });
    expect((await failure(run(join(input, 'sub/a.mha'), join(input, 'sub')))).message).toContain(
      'contains its own input',
    );
    rmSync(link);
    expect(written(root)).toEqual(before);
  });

  test.each<[string, Record<string, string>, RegExp]>([
    ['a run', { 'config.json': '{}', 'metrics.jsonl': '' }, /contains a training run/],
    ['samples', { 'manifest.json': '{"format":"parts2whole-samples"' }, /contains a sample store/],
    ['trials', { 'trial-01/config.json': '{}' }, /contains fine-tuning trials/],
    ['anything', { 'thesis.tex': '', 'data.csv': '' }, /contains other files: data\.csv, thesis\.tex/],
  ])('is not one that holds %s', async (_, files, message) => {
    const out = newFolder();
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(out, name)), { recursive: true });
      writeFileSync(join(out, name), text);
    }
    const before = written(out);
    const error = await failure(run(await scans(newFolder(), 'a.mha'), out));
    expect(error).toMatchObject({ name: 'UserError', kind: 'usage', facts: { where: out } });
    expect(error.message).toMatch(message);
    expect(written(out)).toEqual(before);
  });

  test('is not a tile store, for samples', async () => {
    const out = newFolder();
    await run(await scans(newFolder(), 'a.mha'), out);
    const raw = newFolder();
    await writeBalls(raw, { patients: 4, each: 1, size: [16, 16, 8] });
    const samples = { task: 'manifest' as const, input: raw, size: [16, 16, 8] as XYZ };
    expect((await failure(prepareSamples({ ...samples, out }))).message).toContain('contains a tile store');
    expect((await failure(prepareSamples({ ...samples, out: raw }))).message).toContain('the same folder');
  });
});

describe('prepare into the same folder again', () => {
  test('reads only what is new or has changed', async () => {
    const input = await scans(newFolder(), 'a.mha', 'b.mhd');
    const out = newFolder();
    await run(input, out);
    const modified = (id: string) => statSync(join(out, `shards/${id}.npy`), { bigint: true }).mtimeNs;
    const before = [modified('a'), modified('b')];
    await scans(input, 'c.mha');
    await writeMetaImage(join(input, 'b.mhd'), noiseVolume([32, 24, 16], 9), { compressed: true });
    const { scans: found } = await run(input, out);
    expect(found.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(modified('a')).toBe(before[0]);
    expect(modified('b')).not.toBe(before[1]);
  });

  test('reads a scan of one file a slice again when one of them has changed', async () => {
    const input = newFolder();
    mkdirSync(join(input, 'slices'), { recursive: true });
    const { voxels } = noiseVolume([32, 24, 16], 1);
    const write = (z: number, slice: Voxels) => writeFileSync(join(input, `slices/${z}.raw`), slice);
    for (let z = 0; z < 16; z++) write(z, voxels.subarray(768 * z, 768 * (z + 1)));
    const header =
      'NDims = 3\nDimSize = 32 24 16\nElementType = MET_SHORT\nElementDataFile = slices/%d.raw 0 15 1\n';
    writeFileSync(join(input, 'a.mhd'), header);
    const out = newFolder();
    const first = await run(input, out);
    expect(openTileStore(out).manifest.scans[0]!.sourceBytes).toBe(2 * 32 * 24 * 16 + header.length);
    expect((await run(input, out)).hash).toBe(first.hash);
    write(11, new Int16Array(768).fill(7));
    expect((await run(input, out)).hash).not.toBe(first.hash);
  });

  test('holds nothing of scans that are gone', async () => {
    const input = await scans(newFolder(), 'p1/ct.mha', 'p2/ct.mha', 'b.mha', 'c.mha');
    const out = newFolder();
    await run(input, out);
    expect(existsSync(join(out, 'shards/p1/ct.npy'))).toBe(true);
    rmSync(join(input, 'p1'), { recursive: true });
    writeFileSync(join(input, 'b.mha'), 'broken');
    await run(input, out);
    expect(readdirSync(out, { recursive: true, encoding: 'utf8' }).sort()).toEqual([
      ...['manifest.json', 'options.json', 'records', 'records/c.json', 'records/ct.json'],
      ...['shards', 'shards/c.npy', 'shards/ct.npy'],
    ]);
    expect(openTileStore(out).manifest.scans.map(({ id }) => id)).toEqual(['c', 'ct']);
  });

  test('mends a store that has lost a shard', async () => {
    const input = await scans(newFolder(), 'a.mha', 'b.mha');
    const out = newFolder();
    const { hash } = await run(input, out);
    rmSync(join(out, 'shards/b.npy'));
    expect((await run(input, out)).hash).toBe(hash);
  });

  test('refuses other options', async () => {
    const input = await scans(newFolder(), 'a.mha');
    const out = newFolder();
    await run(input, out);
    const error = await failure(run(input, out, { size: [8, 8, 8], zBorder: 2 }));
    expect(error).toMatchObject({ name: 'UserError', kind: 'config' });
    expect(error.message).toMatch(
      /size \[8,8,8\] instead of \[16,8,8\], zBorder 2 instead of 0[\s\S]*another folder/,
    );
    expect(openTileStore(out).size).toEqual(SIZE);
  });

  test('refuses a folder that is in use', async () => {
    const out = newFolder();
    mkdirSync(out);
    const lock = acquireLock(out, 'prepare');
    const error = await failure(run(await scans(newFolder(), 'a.mha'), out));
    expect(error).toMatchObject({ name: 'UserError', kind: 'run' });
    lock.release();
    expect(readdirSync(out)).toEqual([]);
  });
});

const CHEST_CT = join(import.meta.dirname, '../../../shared/data/chest_ct/C3N-00247_native.nii.gz');

test('a real chest CT of 512×512×99 gives 16 wholes of 128×128×64', async (context) => {
  if (!existsSync(CHEST_CT)) return context.skip(`${CHEST_CT} is not here`);
  const out = newFolder();
  const summary = await prepare({ input: [CHEST_CT], out });
  expect(summary).toMatchObject({
    scans: [{ id: 'C3N-00247_native', split: 'train', tiles: 16 }],
    failures: [],
  });
  const store = openTileStore(out);
  expect(store.manifest.scans[0]).toMatchObject({ size: [512, 512, 99], sourceBytes: 37296704 });
  const middle = readTile(store, store.train[5]!);
  const share = (from: number, to: number) =>
    middle.filter((hu) => hu >= from && hu < to).length / middle.length;
  expect(share(-1000, -600)).toBeGreaterThan(0.2); // lung
  expect(share(-100, 150)).toBeGreaterThan(0.1); // soft tissue
  expect(statSync(join(out, 'shards/C3N-00247_native.npy')).size).toBe(128 + 16 * 2 ** 21);
});
