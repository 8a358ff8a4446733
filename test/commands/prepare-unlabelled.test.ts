import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { prepareUnlabelled } from '../../src/commands/prepare-unlabelled.js';
import { readSampleManifest } from '../../src/data/samples/manifest.js';
import { openSampleStore, readSample } from '../../src/data/samples/store.js';
import { tileNormalisationOf, tileValues } from '../../src/data/samples/values.js';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import { openTileStore, readTile } from '../../src/data/store/tiles.js';
import { BALL_COLUMNS, writeBalls } from '../data/samples/labelled-data.js';
import { userErrorOf } from '../data/scan/samples.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const size = [16, 16, 8] as const;

beforeAll(async () => {
  await writeBalls(at('balls'), { patients: 12, each: 2, size: [...size] });
  const input = at('balls/table.csv');
  const common = { task: 'manifest', input, columns: BALL_COLUMNS, classes: ['none', 'ball'], size } as const;
  await prepareSamples({ ...common, out: at('hu') });
  await prepareSamples({ ...common, out: at('zscore'), normalise: 'zscore' });
});

test('tiles are the images of training patients, who are divided anew between training and validation', async () => {
  const summary = await prepareUnlabelled({ input: at('hu'), out: at('tiles'), valFraction: 0.25 });
  const samples = new Map(readSampleManifest(at('hu')).samples.map((sample) => [sample.id, sample]));
  const { scans } = openTileStore(at('tiles')).manifest;
  const training = [...samples.values()].filter(({ split }) => split === 'train');
  expect(scans.map(({ id }) => id)).toEqual(training.map(({ id }) => id));
  const splits = new Map(scans.map(({ id, split }) => [samples.get(id)!.patient, split]));
  expect(scans.every(({ id, split }) => splits.get(samples.get(id)!.patient) === split)).toBe(true);
  expect(new Set(splits.values())).toEqual(new Set(['train', 'validation']));
  expect(summary.trainTiles + summary.validationTiles).toBe(training.length);
});

test.each([
  ['hu', 1],
  ['zscore', 1000],
])('tiles of a %s store hold %d times its values', async (name, factor) => {
  await prepareUnlabelled({ input: at(name), out: at(`${name}-tiles`) });
  const samples = openSampleStore(at(name));
  const tiles = openTileStore(at(`${name}-tiles`));
  expect(tiles.manifest.options.normalise).toBe(name);
  for (const reference of [...tiles.train, ...tiles.validation]) {
    const sample = samples.manifest.samples.find(({ id }) => id === reference.scan.id)!;
    const { image } = readSample(samples, sample);
    const expected = Int16Array.from(image, (value) => Math.round(Math.fround(value * factor)));
    expect(readTile(tiles, reference)).toEqual(expected);
  }
});

test('grey values of a known range become thousandths of it', () => {
  const format = { type: 'int16', window: { low: 0, high: 255 } } as const;
  expect(tileNormalisationOf(format)).toBe('minmax');
  expect([...tileValues(Int16Array.of(0, 51, 255), format)]).toEqual([0, 200, 1000]);
});

test('values beyond what tiles can hold are cut off', async () => {
  const outlier = noiseVolume([...size], 1);
  const image = { ...outlier, voxels: outlier.voxels.map((_, i) => (i === 5 ? 30_000 : i % 20)) };
  await writeMetaImage(at('outlier.mha'), image);
  writeFileSync(at('outlier.csv'), 'image,id,label\noutlier.mha,1,a\noutlier.mha,2,b\noutlier.mha,3,a\n');
  await prepareSamples({
    task: 'manifest',
    input: at('outlier.csv'),
    out: at('outlier'),
    size,
    normalise: 'zscore',
  });
  await prepareUnlabelled({ input: at('outlier'), out: at('outlier-tiles') });
  const tiles = openTileStore(at('outlier-tiles'));
  expect(Math.max(...readTile(tiles, [...tiles.train, ...tiles.validation][0]!))).toBe(32_767);
});

test('options that samples have no use for, and tiles larger than samples, are refused', async () => {
  const command = ['prepare', '--input', at('hu'), '--out', at('refused')];
  const { code, stderr } = await p2wHere([...command, '--reject', 'air', '--shard', '1/2']);
  expect([code, stderr]).toEqual([
    2,
    expect.stringContaining('--reject, --shard: samples are taken as they are'),
  ]);
  const table = ['prepare', '--task', 'manifest', '--input', 'table.csv', '--out', at('refused')];
  expect(await p2wHere([...table, '--split', 'split.json', '--z-border', '4'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--z-border, --split: this is for tiles, not for samples of a task'),
  });
  const scans = ['prepare', '--input', 'scans', '--out', at('refused')];
  expect(await p2wHere([...scans, '--classes', 'a,b', '--column', 'label={x}'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--classes, --column: this is for samples of a task, not for tiles'),
  });
  const error = await userErrorOf(
    prepareUnlabelled({ input: at('hu'), out: at('refused'), size: [32, 16, 8] }),
  );
  expect(error.message).toContain('the tiles are larger than the samples');
});
