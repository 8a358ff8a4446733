import {
  copyFileSync,
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
import { strToU8, zipSync } from 'fflate';
import { beforeAll, describe, expect, test } from 'vitest';
import { prepareSamples } from '../../../src/commands/prepare-samples.js';
import { augmented } from '../../../src/data/samples/augment.js';
import {
  evaluationBatches,
  patientsOf,
  type SamplePlan,
  trainingBatch,
  trainingSamples,
  validationSamples,
} from '../../../src/data/samples/batches.js';
import { openSampleLoader } from '../../../src/data/samples/loader.js';
import type { SampleFormat } from '../../../src/data/samples/manifest.js';
import { drawSampleSplit } from '../../../src/data/samples/split.js';
import { imagePath, maskPath, openSampleStore, readSample } from '../../../src/data/samples/store.js';
import { cropAround, cropImage, cropMask } from '../../../src/data/scan/crop.js';
import { writeNifti } from '../../../src/data/scan/nifti.js';
import { npyHeader } from '../../../src/data/scan/npy.js';
import { openTileStore } from '../../../src/data/store/tiles.js';
import { randomStream } from '../../../src/random.js';
import { p2w } from '../../commands/cli.js';
import { sampleStore, temporaryFolder } from '../store/tiles-sample.js';
import { BALL_COLUMNS, ballScan, writeBalls } from './labelled-data.js';

const folder = temporaryFolder();
const raw = join(folder, 'raw');
const SIZE = [16, 16, 8] as const;
const classified = join(folder, 'classified');
const masked = join(folder, 'masked');

beforeAll(async () => {
  await writeBalls(raw, { patients: 12, each: 2, size: [18, 16, 10] });
  await prepareSamples({
    ...{ task: 'manifest', input: join(raw, 'table.csv'), out: classified, size: SIZE },
    columns: BALL_COLUMNS,
  });
  await prepareSamples({ task: 'manifest', input: raw, out: masked, size: SIZE, classes: ['ball'] });
});

const plan = (samples: SamplePlan['samples'], more: Partial<SamplePlan> = {}): SamplePlan => ({
  samples,
  batch: 4,
  balance: 'none',
  augmentation: { flips: false, rotationDegrees: 0, intensity: 0 },
  seed: 1,
  ...more,
});

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
});

describe('bad input is refused, or reported without stopping the rest', () => {
  const prepared = (name: string, input: string, more = {}) =>
    prepareSamples({ task: 'manifest', input, out: join(folder, name), size: SIZE, ...more });

  test('a mask on another grid, a label that is no class, a missing image', async () => {
    const input = join(folder, 'bad');
    await writeBalls(input, { patients: 4, each: 1, size: [16, 16, 8] });
    const { image, ball } = ballScan([16, 16, 8], 3, 1);
    await writeNifti(join(input, 'labels/p00_0.nii.gz'), { ...image, spacing: [1, 1, 2], voxels: ball });
    await writeNifti(join(input, 'labels/p01_0.nii.gz'), { ...image, voxels: ball.map((v) => 5 * v) });
    writeFileSync(join(input, 'images/p02_0.nii.gz'), 'no scan');
    const { failures, splits } = await prepared('bad-store', input, { classes: ['ball'] });
    expect(failures.map(({ source }) => source)).toEqual(['p00_0', 'p01_0', 'p02_0']);
    expect(failures[0]!.message).toContain('the mask is not on the same grid as its image');
    expect(failures[1]!.message).toMatch(
      /a label of this mask is not one of the classes[\s\S]*5[\s\S]*1 to 1/,
    );
    expect(splits.train.samples + splits.validation.samples + splits.test.samples).toBe(1);
  });

  test('a patient in two splits is refused by name', async () => {
    const table = join(raw, 'torn.csv');
    const lines = [
      'image,label,patient,split',
      'images/p00_0.nii.gz,0,Ann,train',
      'images/p01_0.nii.gz,1,Ann,test',
    ];
    writeFileSync(table, lines.join('\n'));
    await expect(prepared('torn', table)).rejects.toThrow(/in two splits[\s\S]*Ann \(train, test\)/);
  });

  test('columns and labels that are not there are named', async () => {
    const table = join(raw, 'table.csv');
    await expect(prepared('x1', table)).rejects.toThrow(/no column for images[\s\S]*file, diagnosis, person/);
    const columns = { ...BALL_COLUMNS, label: '{grade}' };
    await expect(prepared('x2', table, { columns })).rejects.toThrow(/does not have this column[\s\S]*grade/);
    const { failures } = await prepared('x3', table, { columns: BALL_COLUMNS, classes: ['none', 'cube'] });
    expect(failures[0]!.message).toMatch(/not one of the classes[\s\S]*ball[\s\S]*none, cube/);
    await expect(prepared('x5', table, { columns: BALL_COLUMNS, classes: ['ball', 'ball'] })).rejects.toThrow(
      /two classes have the same name[\s\S]*ball,ball/,
    );
  });

  const splitsOf = (out: string) =>
    new Map(openSampleStore(out).manifest.samples.map(({ id, split }) => [id, split]));

  test('columns are known in any case', async () => {
    const lines = ['p0,train', 'p0,train', 'p1,test', 'p1,validation'].map(
      (cells, i) => `images/p0${i}_0.nii.gz,${i % 2},${cells.replace('p1,v', 'p2,v')}`,
    );
    const table = tableOf('cases.csv', 'Image,label,Patient,SPLIT', ...lines);
    const { out } = await prepared('cases', table);
    const { samples } = openSampleStore(out).manifest;
    expect(samples.map(({ patient, split }) => `${patient} ${split}`)).toEqual([
      ...['p0 train', 'p0 train', 'p1 test', 'p2 validation'],
    ]);
  });

  test('rows of one image, and copies of it under another name, are for the same purpose', async () => {
    const lines = [];
    for (let i = 0; i < 8; i++) {
      const [image, copy] = [`images/p0${i}_0.nii.gz`, `images/copy-${i}.nii.gz`];
      copyFileSync(join(raw, image), join(raw, copy));
      lines.push(`left-${i},${image},0`, `right-${i},${image},1`, `copied-${i},${copy},1`);
    }
    const { out } = await prepared('twins', tableOf('twins.csv', 'id,image,label', ...lines));
    const splits = splitsOf(out);
    expect(new Set(splits.values()).size).toBe(3);
    for (let i = 0; i < 8; i++)
      expect(new Set(['left', 'right', 'copied'].map((side) => splits.get(`${side}-${i}`))).size).toBe(1);
  });

  test('classes that are named by numbers are never mixed up with numbers of classes', async () => {
    const labelsOf = async (name: string, labels: readonly string[], classes: string[]) => {
      const lines = labels.map((label, i) => `images/p0${i}_0.nii.gz,${label}`);
      const { out, failures } = await prepared(name, tableOf(`${name}.csv`, 'image,label', ...lines), {
        classes,
      });
      const numbers = openSampleStore(out).manifest.samples.map(({ label }) => label);
      return { numbers, failures: failures.map(({ message }) => message) };
    };
    expect(await labelsOf('from-0', ['0', '1', '2'], ['1', '2', '3'])).toEqual({
      numbers: [0, 1, 2],
      failures: [],
    });
    expect(await labelsOf('from-1', ['1', '2', '3'], ['1', '2', '3'])).toEqual({
      numbers: [0, 1, 2],
      failures: [],
    });
    const mixed = await labelsOf('mixed', ['small', '1', 'large'], ['small', 'large']);
    expect(mixed.numbers).toEqual([0, 1]);
    expect(mixed.failures[0]).toMatch(/not one of the classes/);
  });

  test('images are paired with the masks at their place, and by name only where no other has it', async () => {
    const input = join(folder, 'nested');
    const { image } = ballScan([16, 16, 8], 3, 1);
    const marked = (value: number) => ({ ...image, voxels: new Uint8Array(16 * 16 * 8).fill(value) });
    for (const place of [
      'images/A/x',
      'images/A/y',
      'images/x',
      'images/z',
      'labels/A/x',
      'labels/A/y',
      'labels/w',
    ])
      mkdirSync(join(input, place), { recursive: true });
    for (const place of ['A/x', 'A/y', 'x']) await writeNifti(join(input, 'images', place, '1.nii'), image);
    await writeNifti(join(input, 'images/z/only.nii'), image);
    await writeNifti(join(input, 'labels/A/x/1.nii'), marked(1));
    await writeNifti(join(input, 'labels/A/y/1.nii'), marked(2));
    await writeNifti(join(input, 'labels/w/only.nii'), marked(3));
    const { out, failures } = await prepared('nested-store', input, { classes: ['a', 'b', 'c'] });
    expect(failures.map(({ message }) => message)).toEqual(['it has no mask']);
    const store = openSampleStore(out);
    const labels = store.manifest.samples.map(
      (sample) => `${sample.id}: ${readSample(store, sample).mask![0]}`,
    );
    expect(labels.sort()).toEqual(['A/x/1: 1', 'A/y/1: 2', 'only: 3']);
  });

  const tableOf = (name: string, ...lines: string[]) => {
    writeFileSync(join(raw, name), lines.join('\n'));
    return join(raw, name);
  };

  test('a missing image, a file of another kind and an empty cell stop nothing else', async () => {
    const table = tableOf(
      'gaps.csv',
      ...['image,label', 'images/p00_0.nii.gz,0', 'images/nowhere.nii.gz,1', 'images/p01_0.png,1', ',1'],
      ...['images/p01_0.nii.gz,1', 'images/p02_0.nii.gz,'],
    );
    const { failures, splits } = await prepared('gaps', table);
    expect(failures).toEqual([
      { source: `${table}, line 5`, message: 'it has no image' },
      { source: `${table}, line 7`, message: 'it has no label' },
      { source: 'nowhere', message: expect.stringMatching(/no such file/) },
      // It might be DICOM, whose names may be the patient's.
      {
        source: expect.stringMatching(/^[0-9a-f]{12}$/),
        message: expect.stringMatching(/p01_0\.png: (no such file|.*not a scan)/),
      },
    ]);
    expect(splits.train.samples + splits.validation.samples + splits.test.samples).toBe(2);
  });

  test('paths may be complete, and the same names in other folders are told apart', async () => {
    const others = join(folder, 'elsewhere');
    await writeBalls(others, { patients: 2, each: 1, size: [16, 16, 8] });
    const table = tableOf(
      'absolute.csv',
      ...['image,mask,split', 'images/p01_0.nii.gz,labels/p01_0.nii.gz,train'],
      `${others}/images/p01_0.nii.gz,${others}/labels/p01_0.nii.gz,train`,
    );
    const { failures, out } = await prepared('absolute', table, { classes: ['ball'] });
    expect(failures).toEqual([]);
    const store = openSampleStore(out);
    const [first, second] = store.manifest.samples.map((sample) => readSample(store, sample).image);
    expect(new Set(store.manifest.samples.map(({ id }) => id)).size).toBe(2);
    expect(first).not.toEqual(second);
  });

  test('tiles are not overwritten by samples', async () => {
    const out = join(folder, 'tiles');
    const { hash } = await sampleStore(out);
    await expect(prepared('tiles', raw, { classes: ['ball'] })).rejects.toThrow(
      /this folder contains .*manifest\.json[\s\S]*choose another folder/,
    );
    expect(openTileStore(out).hash).toBe(hash);
  });

  test('one id for two samples, and an id that leads out of the store, are refused', async () => {
    const two = tableOf('two.csv', 'image,label,id', 'images/p00_0.nii.gz,0,x', 'images/p01_0.nii.gz,1,x');
    await expect(prepared('x6', two)).rejects.toThrow(
      /two samples have the same id[\s\S]*x[\s\S]*column `id`/,
    );
    const same = tableOf('same.csv', 'image,label', 'images/p00_0.nii.gz,0', 'images/p00_0.nii.gz,1');
    await expect(prepared('x7', same)).rejects.toThrow(/two samples have the same id[\s\S]*p00_0/);
    for (const id of ['../../out', '/tmp/x', 'a/./b', 'a/']) {
      const table = tableOf(
        'out.csv',
        'image,label,id',
        `images/p00_0.nii.gz,0,${id}`,
        'images/p01_0.nii.gz,1,y',
      );
      await expect(prepared('x8', table)).rejects.toThrow(/this id cannot be used as a file name/);
    }
  });

  test('whole numbers with decimals are the numbers of classes', async () => {
    const lines = [
      'image,label',
      'images/p00_0.nii.gz,0.0',
      'images/p01_0.nii.gz,1.0',
      'images/p03_0.nii.gz,1',
    ];
    const table = tableOf('floats.csv', ...lines);
    for (const [name, classes] of [
      ['floats', undefined],
      ['floats-named', ['none', 'ball']],
    ] as const) {
      const { failures, out } = await prepared(name, table, classes ? { classes } : {});
      expect(failures).toEqual([]);
      const { manifest } = openSampleStore(out);
      expect(manifest.classes).toEqual(classes ?? ['0', '1']);
      expect(manifest.samples.map(({ label }) => label)).toEqual([0, 1, 1]);
    }
  });

  test('a table of which nothing can be used is a failure, and suggests no training', async () => {
    const table = tableOf('nothing.csv', 'image,label', 'a.nii,0', 'b.nii,1');
    const args = ['prepare', '--task', 'manifest', '--input', table, '--out', join(folder, 'nothing')];
    const { code, stdout } = await p2w(args);
    expect(code).toBe(1);
    expect(stdout).toMatch(/2 failed/);
    expect(stdout).not.toContain('next:');
    expect(stdout).toMatch(/there are no usable samples/);
  });

  test('a folder of something else says what is expected', async () => {
    await expect(prepared('x4', join(raw, 'images'))).rejects.toThrow(
      /no images with masks[\s\S]*images and labels/,
    );
  });
});

test('MedMNIST’s arrays become padded samples with its own split', async () => {
  const array = (shape: number[], values: number[]) =>
    Buffer.concat([npyHeader('uint8', shape), Uint8Array.from(values)]);
  const images = (n: number) =>
    array(
      [n, 6, 6, 6],
      Array.from({ length: n * 216 }, (_, i) => i % 256),
    );
  const path = join(folder, 'mini.npz');
  writeFileSync(
    path,
    zipSync({
      'train_images.npy': images(3),
      'train_labels.npy': array([3, 1], [0, 1, 1]),
      'val_images.npy': images(2),
      'val_labels.npy': array([2, 1], [0, 1]),
      'test_images.npy': images(2),
      'test_labels.npy': array([2, 1], [1, 0]),
    }),
  );
  const out = join(folder, 'mini');
  await prepareSamples({ task: 'medmnist', input: path, out });
  const store = openSampleStore(out);
  expect(store.manifest).toMatchObject({
    size: [8, 8, 8],
    window: { low: 0, high: 255 },
    classes: ['0', '1'],
  });
  expect(store.manifest.samples.map(({ split, label }) => `${split} ${label}`)).toEqual([
    ...['train 0', 'train 1', 'train 1', 'validation 0', 'validation 1', 'test 1', 'test 0'],
  ]);
  const { image } = readSample(store, store.manifest.samples[1]!);
  expect(image[0]).toBe(0);
  expect(image[1 + 8 * (1 + 8)]).toBe(216);

  const named = { task: 'medmnist', input: path, out, classes: ['only'] } as const;
  await expect(prepareSamples(named)).rejects.toThrow(/more classes than --classes[\s\S]*up to 1/);

  writeFileSync(path, zipSync({ 'train_images.npy': images(3), 'readme.npy': strToU8('x') }));
  await expect(prepareSamples({ task: 'medmnist', input: path, out })).rejects.toThrow(/readme/);
});

describe('batches', () => {
  test('do not depend on the number of threads, and every epoch has all samples', async () => {
    const store = openSampleStore(classified);
    const samples = store.manifest.samples.filter(({ split }) => split === 'train');
    const seen: number[] = [];
    for (let i = 0; i < 7; i++) seen.push(...trainingBatch(store, plan(samples), i).indices);
    for (const epoch of [seen.slice(0, 14), seen.slice(14, 28)])
      expect([...epoch].sort((a, b) => a - b)).toEqual(samples.map((_, i) => i));
    expect(seen.slice(0, 14)).not.toEqual(seen.slice(14, 28));

    const augmentation = { flips: true, rotationDegrees: 10, intensity: 0.1 };
    const job = { store, plan: plan(samples, { augmentation }) };
    for (const workers of [0, 2]) {
      const loader = openSampleLoader({ ...job, workers, ahead: () => 3, batchAt: (i) => 5 + i });
      const batches = [await loader.next(), await loader.next()];
      await loader.close();
      expect(batches).toEqual([5, 6].map((i) => trainingBatch(store, job.plan, i)));
    }
  });

  test('a sample is changed in another way in each epoch', () => {
    const store = openSampleStore(classified);
    const samples = store.manifest.samples.filter(({ split }) => split === 'train');
    const augmentation = { flips: false, rotationDegrees: 10, intensity: 0.1 };
    /** The images of an epoch, by their samples. */
    const images = (epoch: number) => {
      const found = new Map<number, string>();
      for (let i = 0; i < 14; i++) {
        const { image, indices } = trainingBatch(
          store,
          plan(samples, { augmentation, batch: 1 }),
          14 * epoch + i,
        );
        found.set(indices[0]!, image.join());
      }
      return found;
    };
    const [first, second] = [images(0), images(1)];
    expect(first.size).toBe(14);
    for (const [sample, image] of first) expect(second.get(sample)).not.toBe(image);
  });

  test('balanced epochs have as many samples of each class', () => {
    const store = openSampleStore(classified);
    const train = store.manifest.samples.filter(({ split }) => split === 'train');
    const few = [
      ...train.filter(({ label }) => label === 0).slice(0, 2),
      ...train.filter(({ label }) => label === 1),
    ];
    const batches = [0, 1, 2].map((i) => trainingBatch(store, plan(few, { balance: 'sampling' }), i));
    for (const { label } of batches) expect([...label!].filter((l) => l === 0)).toHaveLength(2);
  });

  test('balanced epochs draw other samples of the larger class each time, as the seed says', () => {
    const store = openSampleStore(classified);
    const train = store.manifest.samples.filter(({ split }) => split === 'train');
    const few = [
      ...train.filter(({ label }) => label === 0).slice(0, 2),
      ...train.filter(({ label }) => label === 1),
    ];
    const drawn = (seed: number) =>
      Array.from({ length: 12 }, (_, epoch) =>
        [...trainingBatch(store, plan(few, { balance: 'sampling', seed }), epoch).indices].sort(
          (a, b) => a - b,
        ),
      );
    const epochs = drawn(1);
    for (const epoch of epochs) expect(epoch.slice(0, 2)).toEqual([0, 1]);
    // All of the larger class have their turn.
    expect(new Set(epochs.flat()).size).toBe(few.length);
    expect(drawn(1)).toEqual(epochs);
    expect(drawn(2)).not.toEqual(epochs);
  });

  test('masks become a channel a class; the last evaluation batch is filled up without weight', () => {
    const store = openSampleStore(masked);
    const samples = store.manifest.samples.slice(0, 5);
    const batches = [...evaluationBatches(store, samples, 4)];
    expect(batches.map(({ weight }) => [...weight])).toEqual([
      [1, 1, 1, 1],
      [1, 0, 0, 0],
    ]);
    const voxels = 16 * 16 * 8;
    expect(batches[0]!.mask!.subarray(2 * voxels, 3 * voxels)).toEqual(readSample(store, samples[2]!).mask);
  });

  test('validation looks at samples of all classes and places, in whatever order the store has them', () => {
    const { manifest } = openSampleStore(classified);
    const entry = manifest.samples[0]!;
    const samples = Array.from({ length: 1000 }, (_, i) => ({
      ...entry,
      ...{ id: `s${i}`, split: 'validation' as const, label: i < 750 ? 0 : 1 },
    }));
    const places = (count: number) =>
      validationSamples({ ...manifest, samples }, { samples: count }).map(({ id }) => Number(id.slice(1)));
    expect(places(8).map((place) => Math.floor(place / 125))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(places(2000)).toEqual(samples.map((_, i) => i));
    // Every second is of the other class.
    const mixed = samples.map((sample, i) => ({ ...sample, label: i % 2 }));
    const labels = validationSamples({ ...manifest, samples: mixed }, { samples: 10 }).map(
      ({ label }) => label,
    );
    expect(labels.filter((label) => label === 1)).toHaveLength(5);
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

  test('channels of different grids are refused, as are masks', async () => {
    const grid = { spacing: [1, 1, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] } as const;
    const write = (name: string, more: object) =>
      writeNifti(join(folder, name), {
        ...{ ...grid, size: [16, 16, 8], voxels: new Int16Array(2048).map((_, i) => i % 50) },
        ...more,
      });
    await write('t1.nii', {});
    await write('t2.nii', { origin: [100, 0, 0] });
    const table = join(folder, 'contrasts.csv');
    writeFileSync(table, 'id,image_t1,image_t2,label\na,t1.nii,t2.nii,0\nb,t1.nii,t1.nii,1\n');
    const { failures } = await prepareSamples({
      ...{ task: 'manifest', input: table, out: join(folder, 'contrasts'), size: SIZE, normalise: 'minmax' },
    });
    expect(failures).toEqual([
      { source: 'a', message: expect.stringMatching(/not on the same grid[\s\S]*t1\.nii/) },
    ]);
  });

  test('a fraction is made of whole patients, and keeps every class', () => {
    const { manifest } = openSampleStore(classified);
    const all = trainingSamples(manifest, { fraction: 1, patients: null, seed: 1 });
    const third = (seed: number) => trainingSamples(manifest, { fraction: 0.3, patients: null, seed });
    for (let seed = 1; seed < 20; seed++) {
      const some = third(seed);
      expect(some.length).toBeLessThan(all.length);
      expect(new Set(some.map(({ label }) => label)).size).toBe(2);
      const patients = new Set(some.map(({ patient }) => patient));
      expect(some).toEqual(all.filter(({ patient }) => patients.has(patient)));
    }
    expect(third(1)).not.toEqual(third(2));
  });

  test('patients are counted, fewer of them are among more, and no more can be had than there are', () => {
    const { manifest } = openSampleStore(classified);
    const choose = (patients: number) => trainingSamples(manifest, { fraction: 1, patients, seed: 1 });
    const all = patientsOf(manifest.samples.filter(({ split }) => split === 'train'));
    expect(patientsOf(choose(4))).toHaveLength(4);
    expect(patientsOf(choose(all.length)).sort()).toEqual([...all].sort());
    expect(patientsOf(choose(5))).toEqual(expect.arrayContaining(patientsOf(choose(4))));
    // 0.07 · 100 is more than 7 in floating point.
    const entry = { ...manifest.samples[0]!, split: 'train' as const, label: 0 };
    const samples = Array.from({ length: 100 }, (_, i) => ({ ...entry, id: `s${i}`, patient: `p${i}` }));
    const share = { fraction: 0.07, patients: null, seed: 1 };
    expect(trainingSamples({ ...manifest, samples }, share)).toHaveLength(7);
    // The only mask with a voxel of the second class is always among them.
    const masks = samples.map((sample, i) => ({
      ...sample,
      label: null,
      classVoxels: [9, i === 50 ? 1 : 0],
    }));
    const segmented = { ...manifest, classes: ['a', 'b'], samples: masks };
    for (const seed of [1, 2, 3])
      expect(trainingSamples(segmented, { fraction: 1, patients: 1, seed }).map(({ id }) => id)).toContain(
        's50',
      );
    expect(() => choose(all.length + 1)).toThrow(/fewer training patients/);
    // Of many classes, a few patients bring those that are missing, and smaller choices are parts of larger ones.
    const rare = Array.from({ length: 900 }, (_, i) => ({
      ...{ ...entry, label: null, id: `s${i}`, patient: `p${i % 300}` },
      classVoxels: Array.from({ length: 6 }, (_, c) => (c === 0 || i === 100 * c ? 1 : 0)),
    }));
    const chosen = [1, 4, 40].map((patients) =>
      patientsOf(trainingSamples({ samples: rare }, { fraction: 1, patients, seed: 1 })),
    );
    expect(chosen[0]!.length).toBeLessThanOrEqual(6);
    for (const [i, larger] of chosen.slice(1).entries())
      expect(larger).toEqual(expect.arrayContaining(chosen[i]!));
  });

  test('a split is drawn by patients, and hardly moves when one is added', () => {
    const patients = Array.from({ length: 100 }, (_, i) => `p${i}`);
    const shares = { validation: 0.1, test: 0.2 };
    const split = drawSampleSplit(patients, shares, 1);
    const count = (of: string) => [...split.values()].filter((s) => s === of).length;
    expect([count('train'), count('validation'), count('test')]).toEqual([70, 10, 20]);
    const more = drawSampleSplit([...patients, 'new'], shares, 1);
    expect(patients.filter((id) => more.get(id) !== split.get(id)).length).toBeLessThan(4);
  });

  test.each([
    [3, 0.5, 0.4, [1, 1, 1]],
    [4, 0.5, 0.4, [1, 1, 2]],
    [3, 0.01, 0, [2, 1, 0]],
    [5, 0.2, 0.8, [0, 1, 4]],
  ] as const)(
    'of %i patients, shares of %f and %f leave some for each purpose',
    (n, validation, test, counts) => {
      const patients = Array.from({ length: n }, (_, i) => `p${i}`);
      const split = [...drawSampleSplit(patients, { validation, test }, 1).values()];
      const count = (of: string) => split.filter((s) => s === of).length;
      expect([count('train'), count('validation'), count('test')]).toEqual(counts);
    },
  );
});

describe('crops and augmentation', () => {
  const scan = ballScan([12, 10, 9], 3, 7);

  test('a crop at another spacing is linear between voxels, and has air or edges outside', () => {
    const voxels = Float32Array.from(
      { length: 5 * 4 * 3 },
      (_, i) => 2 * (i % 5) + 10 * (Math.floor(i / 5) % 4),
    );
    const image = { voxels, size: [5, 4, 3], spacing: [1, 1, 1] } as const;
    const grid = cropAround(image, [2, 1.5, 1], [4, 2, 2], [0.5, 1, 1]);
    expect([...cropImage(image, grid, null)].slice(0, 8)).toEqual([
      12.5, 13.5, 14.5, 15.5, 22.5, 23.5, 24.5, 25.5,
    ]);
    const wide = cropAround(image, [2, 1.5, 1], [7, 4, 3]);
    expect([...cropImage(image, wide, -1).subarray(0, 7)]).toEqual([-1, 0, 2, 4, 6, 8, -1]);
    expect([...cropImage(image, wide, null).subarray(0, 7)]).toEqual([0, 0, 2, 4, 6, 8, 8]);
    expect(cropMask({ voxels: new Uint8Array(60).fill(1), size: [5, 4, 3] }, wide)[0]).toBe(0);
  });

  const format: SampleFormat = {
    ...{ task: 't', kind: 'segmentation', classes: ['ball'], size: [12, 10, 9], channels: 1, type: 'int16' },
    window: { low: -1000, high: 1000 },
  };
  const content = { image: scan.image.voxels as Int16Array, mask: scan.ball };

  test('flips move image and mask together, and lose nothing', () => {
    const none = { flips: false, rotationDegrees: 0, intensity: 0 };
    const stream = (i: number) => randomStream(i, 'augment');
    expect(augmented(content, format, [1, 1, 1], none, stream(1))).toEqual(content);
    const seen = new Set<string>();
    for (let i = 0; i < 60; i++) {
      const { image, mask } = augmented(content, format, [1, 1, 2], { ...none, flips: true }, stream(i));
      expect([...image].sort()).toEqual([...content.image].sort());
      const bright = [...image].reduce((sum, hu, at) => sum + (mask![at] ? hu : 0), 0);
      expect(bright).toBe([...content.image].reduce((sum, hu, at) => sum + (scan.ball[at] ? hu : 0), 0));
      seen.add(image.join());
    }
    expect(seen.size).toBe(8);
  });

  test('a rotation keeps the ball’s size, and respects spacing; intensity changes values only', () => {
    const turned = augmented(
      content,
      format,
      [1, 1, 1],
      { flips: false, rotationDegrees: 30, intensity: 0 },
      randomStream(3, 'augment'),
    );
    const volume = (mask: Uint8Array) => mask.reduce((sum, v) => sum + v, 0);
    expect(turned.image).not.toEqual(content.image);
    expect(Math.abs(volume(turned.mask!) / volume(scan.ball) - 1)).toBeLessThan(0.15);
    const coloured = augmented(
      content,
      format,
      [1, 1, 1],
      { flips: false, rotationDegrees: 0, intensity: 0.2 },
      randomStream(4, 'augment'),
    );
    expect(coloured.mask).toBe(content.mask);
    expect(coloured.image).not.toEqual(content.image);
  });

  test('what becomes brighter than int16 can say stays the brightest', () => {
    const image = new Int16Array(1080).fill(32_767);
    const bright = { ...format, window: { low: 30_000, high: 32_767 } };
    for (let i = 0; i < 20; i++) {
      const augmentation = { flips: false, rotationDegrees: 0, intensity: 0.5 };
      const changed = augmented(
        { image, mask: scan.ball },
        bright,
        [1, 1, 1],
        augmentation,
        randomStream(i, 'augment'),
      );
      // Contrast falls to a half at most, and brightness by a half of the window.
      expect(Math.min(...changed.image)).toBeGreaterThan(30_000);
    }
  });
});
