/** What is prepared, prepared again, and read. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { grouped } from '../../../graphs/onnx/grouped.js';
import { prepareSamples } from '../../../src/commands/prepare-samples.js';
import { imagePath, maskPath, openSampleStore, readSample } from '../../../src/data/samples/store.js';
import { writeNifti } from '../../../src/data/scan/nifti.js';
import { temporaryFolder } from '../store/tiles-sample.js';
import { SIZE, writeBallStores } from './ball-stores.js';
import { BALL_COLUMNS, ballScan, writeBalls } from './labelled-data.js';

const folder = temporaryFolder();
const raw = join(folder, 'raw');
const classified = join(folder, 'classified');
const masked = join(folder, 'masked');

beforeAll(() => writeBallStores({ raw, classified, masked }));

describe('a table or folders of images become a sample store', () => {
  test('patients stay together, classes are those of the table, NumPy reads the arrays', () => {
    const { manifest } = openSampleStore(classified);
    expect(manifest).toMatchObject({
      ...{ task: 'manifest', kind: 'classification', classes: ['ball', 'none'], size: [16, 16, 8] },
      ...{ channels: 1, type: 'int16', window: { low: -1000, high: 1000 }, failures: [] },
    });
    expect(manifest.samples).toHaveLength(24);
    const counts = ['train', 'validation', 'test'].map(
      (split) => manifest.samples.filter((sample) => sample.split === split).length,
    );
    expect(counts).toEqual([14, 4, 6]);
    const splitsOf = grouped(manifest.samples, ({ patient }) => patient);
    expect(splitsOf.size).toBe(12);
    for (const samples of splitsOf.values()) expect(new Set(samples.map(({ split }) => split)).size).toBe(1);
    const header = readFileSync(imagePath(classified, manifest.samples[0]!.shard)).toString('latin1', 0, 90);
    expect(header).toContain("'descr': '<i2', 'fortran_order': False, 'shape': (1, 1, 8, 16, 16)");
  });

  test('a sample is the middle of its image, with its mask', () => {
    const store = openSampleStore(masked);
    expect(store.manifest).toMatchObject({ kind: 'segmentation', classes: ['ball'] });
    const sample = store.manifest.samples.find(({ id }) => id === 'p01_1')!;
    const { image, mask } = readSample(store, sample);
    const scan = ballScan([18, 16, 10], 3.5, 101);
    for (const [x, y, z] of [
      [0, 0, 0],
      [15, 3, 7],
      [8, 8, 4],
    ] as const) {
      const from = x + 1 + 18 * (y + 16 * (z + 1));
      expect(image[x + 16 * (y + 16 * z)]).toBe(scan.image.voxels[from]);
      expect(mask![x + 16 * (y + 16 * z)]).toBe(scan.ball[from]);
    }
    expect(mask!.reduce((sum, label) => sum + label, 0)).toBeGreaterThan(100);
  });

  test('preparing again writes the same store, and does not read finished scans again', async () => {
    const { hash, manifest } = openSampleStore(masked);
    const written = imagePath(masked, manifest.samples[0]!.shard);
    const { mtimeMs } = statSync(written);
    const again = await prepareSamples({
      task: 'manifest',
      input: raw,
      out: masked,
      size: SIZE,
      classes: ['ball'],
    });
    expect(again.hash).toBe(hash);
    expect(statSync(written).mtimeMs).toBe(mtimeMs);
  });

  test('what a killed run left behind is gone, wherever it is', async () => {
    const out = join(folder, 'killed');
    const leftovers = ['', 'shards', 'records', 'shards/deep'].map((name) =>
      join(out, name, '.a.npy.0123abcd.tmp'),
    );
    mkdirSync(join(out, 'shards/deep'), { recursive: true });
    mkdirSync(join(out, 'records'));
    for (const path of leftovers) writeFileSync(path, 'half');
    await prepareSamples({ task: 'manifest', input: raw, out, size: SIZE, classes: ['ball'] });
    expect(leftovers.filter(existsSync)).toEqual([]);
  });

  test('what has left the table leaves the disk, once the manifest no longer names it', async () => {
    const lines = ['image,mask,label,patient,id'];
    for (const [i, id] of ['a', 'b/c/d', 'b', 'e/f'].entries())
      lines.push(`images/p0${i}_0.nii.gz,labels/p0${i}_0.nii.gz,${i % 2},p${i},${id}`);
    const table = join(raw, 'leaving.csv');
    const out = join(folder, 'left');
    const prepared = async (rows: number[], more: object, to = out) => {
      writeFileSync(table, [lines[0], ...rows.map((row) => lines[row])].join('\n'));
      await prepareSamples({ task: 'manifest', input: table, out: to, size: SIZE, ...more });
    };
    const files = (store: string) => readdirSync(store, { recursive: true, encoding: 'utf8' }).sort();
    const masks = { columns: { mask: '{mask}' } };
    await prepared([1, 2, 3, 4], masks);
    expect(files(out)).toContain(join('shards', 'b', 'c', 'd.mask.npy'));
    const others = [join(out, 'shards', 'README.txt'), join(out, 'records', 'b', '.keep')];
    for (const path of others) writeFileSync(path, 'not ours');
    // Two rows less, then labels in place of masks.
    for (const [rows, more, name] of [
      [[1, 3], masks, 'left-1'],
      [[1, 4], {}, 'left-2'],
    ] as const) {
      const fresh = join(folder, name);
      await prepared([...rows], more);
      await prepared([...rows], more, fresh);
      expect(others.filter((path) => !existsSync(path))).toEqual([]);
      const own = files(out).filter((path) => !/README|keep|^records.b$/.test(path));
      expect(own).toEqual(files(fresh));
    }
    // Nothing is removed where no manifest is written.
    const before = files(out);
    lines[2] = lines[2]!.replace('p1,', 'p0,').replace(/$/, ',test');
    lines[1] += ',train';
    lines[0] += ',split';
    await expect(prepared([1, 2], {})).rejects.toThrow('in two splits');
    expect(files(out)).toEqual(expect.arrayContaining(before));
  });

  test('an array that was lost, cut off or overwritten is written again', async () => {
    const out = join(folder, 'mended');
    const mend = () => prepareSamples({ task: 'manifest', input: raw, out, size: SIZE, classes: ['ball'] });
    const { hash } = await mend();
    const [first, second, third] = openSampleStore(out).manifest.samples;
    rmSync(maskPath(out, first!.shard));
    truncateSync(imagePath(out, second!.shard), 900);
    const path = imagePath(out, third!.shard);
    writeFileSync(path, readFileSync(path, 'latin1').replace('<i2', '<u2'), 'latin1');
    expect((await mend()).hash).toBe(hash);
    const store = openSampleStore(out);
    for (const sample of store.manifest.samples) readSample(store, sample);
  });

  test('and reads again what is of other images, masks or labels than before', async () => {
    const input = join(folder, 'moving');
    await writeBalls(input, { patients: 6, each: 1, size: [16, 16, 8] });
    const table = join(input, 'table.csv');
    let fresh = 0;
    const checkAgain = async (options: { input: string; classes?: string[]; normalise?: 'minmax' }) => {
      const isTable = options.input === table;
      const out = join(folder, isTable ? 'moving-table' : 'moving-masks');
      const common = { task: 'manifest', size: SIZE, ...(isTable && { columns: BALL_COLUMNS }) } as const;
      const again = await prepareSamples({ ...common, ...options, out });
      const expected = await prepareSamples({
        ...common,
        ...options,
        out: join(folder, `moving-${fresh++}`),
      });
      expect(again.hash).toBe(expected.hash);
      return again.hash;
    };
    const seen = [await checkAgain({ input: table }), await checkAgain({ input, classes: ['ball'] })];
    // Other labels, and other patients, with the same ids.
    const lines = readFileSync(table, 'utf8');
    writeFileSync(table, lines.replace('ball', 'none').replace('patient 5', 'patient 3'));
    seen.push(await checkAgain({ input: table }));
    // The same names and sizes in another folder, of the same time.
    cpSync(join(input, 'images'), join(input, 'others'), { recursive: true, preserveTimestamps: true });
    const { image, ball } = ballScan([16, 16, 8], 2, 77);
    await writeNifti(join(input, 'others/p00_0.nii.gz'), image);
    const columns = { ...BALL_COLUMNS, image: 'others/{file}' };
    const moved = { task: 'manifest', size: SIZE, input: table, columns } as const;
    const again = await prepareSamples({ ...moved, out: join(folder, 'moving-table') });
    expect(again.hash).toBe((await prepareSamples({ ...moved, out: join(folder, 'moving-x') })).hash);
    seen.push(again.hash);
    // Another mask, another way of reading.
    await writeNifti(join(input, 'labels/p03_0.nii.gz'), { ...image, voxels: ball });
    seen.push(await checkAgain({ input, classes: ['ball'] }));
    seen.push(await checkAgain({ input, classes: ['ball'], normalise: 'minmax' }));
    expect(new Set(seen).size).toBe(seen.length);
  });

  test('a changed byte is found when it is read', async () => {
    const out = join(folder, 'changed');
    await prepareSamples({ task: 'manifest', input: raw, out, size: SIZE, classes: ['ball'] });
    const store = openSampleStore(out);
    const path = imagePath(out, store.manifest.samples[3]!.shard);
    const bytes = readFileSync(path);
    bytes[bytes.length - 7]! ^= 1;
    writeFileSync(path, bytes);
    expect(() => readSample(store, store.manifest.samples[3]!)).toThrow(/has changed since it was prepared/);
  });

  test('voxels that are no numbers are the darkest of a sample, and reach no neighbour', async () => {
    const voxels = Float32Array.from({ length: 32 ** 3 }, (_, i) => 100 + (i % 32));
    voxels.fill(Number.NaN, 0, 32 ** 2 * 16);
    const path = join(folder, 'background.nii');
    const grid = { size: [32, 32, 32], spacing: [1, 1, 1], origin: [0, 0, 0] } as const;
    await writeNifti(path, { ...grid, direction: [1, 0, 0, 0, 1, 0, 0, 0, 1], voxels });
    const table = join(folder, 'background.csv');
    writeFileSync(table, `image,label\n${path},0\n`);
    const out = join(folder, 'background');
    for (const normalise of ['minmax', 'zscore'] as const) {
      await prepareSamples({
        ...{ task: 'manifest', input: table, out, classes: ['a', 'b'], normalise },
        ...{ size: [16, 16, 16], spacing: [1.5, 1.5, 1.5] },
      });
      const store = openSampleStore(out);
      const { image } = readSample(store, store.manifest.samples[0]!);
      const values = [...image];
      const [least, most] = normalise === 'minmax' ? [0, 1] : [-3, 2];
      expect(Math.min(...values)).toBeCloseTo(least, 5);
      expect(Math.max(...values)).toBeLessThanOrEqual(most);
    }
  });
});
