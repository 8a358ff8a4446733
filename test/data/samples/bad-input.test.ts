/** Tables and folders with mistakes, and how what they say is understood. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { prepareSamples } from '../../../src/commands/prepare-samples.js';
import { openSampleStore, readSample } from '../../../src/data/samples/store.js';
import { writeNifti } from '../../../src/data/scan/nifti.js';
import { openTileStore } from '../../../src/data/store/tiles.js';
import { p2w } from '../../commands/cli.js';
import { sampleStore, temporaryFolder } from '../store/tiles-sample.js';
import { BALLS, SIZE } from './ball-stores.js';
import { BALL_COLUMNS, ballScan, writeBalls } from './labelled-data.js';

const folder = temporaryFolder();
const raw = join(folder, 'raw');

beforeAll(() => writeBalls(raw, BALLS));

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

  test('channels of different grids are refused', async () => {
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
});
