/** Copies of an image, names that look alike, and options that a task has no use for. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  formatPrepareSamples,
  type PrepareSamplesOptions,
  prepareSamples,
} from '../../../src/commands/prepare-samples.js';
import type { TaskName } from '../../../src/data/adapters/index.js';
import { openSampleStore } from '../../../src/data/samples/store.js';
import { writeNifti } from '../../../src/data/scan/nifti.js';
import { temporaryFolder } from '../store/tiles-sample.js';
import { ballScan } from './labelled-data.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

/** Image `i`, in a file of its own for each reader, whose masks are of other sizes. */
async function writeReading(i: number, reader: number): Promise<string> {
  const { image } = ballScan([16, 16, 8], 3, i);
  const { ball } = ballScan([16, 16, 8], 3 + reader, i);
  mkdirSync(at('data'), { recursive: true });
  await writeNifti(at(`data/image-${i}-${reader}.nii`), image);
  await writeNifti(at(`data/mask-${i}-${reader}.nii`), { ...image, voxels: ball });
  return `image-${i}-${reader}.nii,mask-${i}-${reader}.nii`;
}

const prepared = (name: string, lines: readonly string[], more: Partial<PrepareSamplesOptions> = {}) => {
  writeFileSync(at(`data/${name}.csv`), lines.join('\n'));
  return prepareSamples({
    ...{ task: 'manifest', input: at(`data/${name}.csv`), out: at(name), size: [16, 16, 8] },
    ...more,
  });
};

test('copies of an image stay together, whoever has drawn their masks', async () => {
  const rows: string[] = [];
  for (let i = 0; i < 8; i++) for (const reader of [0, 1]) rows.push(await writeReading(i, reader));
  const { out, notes } = await prepared('readers', ['image,mask', ...rows]);
  const { samples } = openSampleStore(out).manifest;
  const splitOf = new Map(samples.map(({ id, split }) => [id, split]));
  expect(new Set(splitOf.values()).size).toBe(3);
  for (let i = 0; i < 8; i++) expect(splitOf.get(`image-${i}-0`)).toBe(splitOf.get(`image-${i}-1`));
  expect(notes).toEqual([]);
  // The same where the records of an earlier run are taken.
  expect((await prepared('readers', ['image,mask', ...rows])).hash).toBe(openSampleStore(out).hash);
});

test('copies of what has a split in the table go there, too', async () => {
  const rows: string[] = [];
  for (let i = 0; i < 6; i++)
    for (const reader of [0, 1]) {
      const [image] = (await writeReading(i, reader)).split(',');
      rows.push(`${image},${i % 2},p${i}-${reader},${reader === 0 ? (i < 4 ? 'train' : 'test') : ''}`);
    }
  const { out, notes } = await prepared('partly', ['image,label,patient,split', ...rows]);
  const { samples } = openSampleStore(out).manifest;
  for (const { id, split } of samples) expect(split).toBe(Number(id[6]) < 4 ? 'train' : 'test');
  expect(notes).toEqual([]);
});

test('records of earlier versions, which had no hash of the image alone, are taken where there are no masks', async () => {
  const rows: string[] = [];
  for (let i = 0; i < 4; i++) rows.push(await writeReading(i, 0));
  const labelled = rows.map((row, i) => `${row.split(',')[0]},${i % 2}`);
  for (const [name, lines, isTaken] of [
    ['old-labels', ['image,label', ...labelled], true],
    ['old-masks', ['image,mask', ...rows], false],
  ] as const) {
    const { out, hash } = await prepared(name, lines);
    const records = readdirSync(join(out, 'records')).map((file) => join(out, 'records', file));
    for (const path of records)
      writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/,"imageSha256":"\w+"/g, ''));
    const before = records.map((path) => readFileSync(path, 'utf8'));
    expect((await prepared(name, lines)).hash).toBe(hash);
    const after = records.map((path) => readFileSync(path, 'utf8'));
    expect(after.every((text, i) => text === before[i])).toBe(isTaken);
  }
});

test('copies in two splits of the table, and names that differ in capitals only, are said', async () => {
  const images: string[] = [];
  for (const [i, reader] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [2, 0],
  ] as const)
    images.push((await writeReading(i, reader)).split(',')[0]!);
  const summary = await prepared('divided', [
    'image,label,patient,split',
    `${images[0]},small,P1,train`,
    `${images[1]},Small,p1,test`,
    `${images[2]},large,P2,validation`,
    `${images[3]},large,P3,train`,
  ]);
  expect(summary.notes).toEqual([
    expect.stringMatching(/copies of one image.*image-0-0 \(train\) = image-0-1 \(test\)$/),
    expect.stringMatching(/^patients .*: P1, p1$/),
    expect.stringMatching(/^classes .*: [Ss]mall, [Ss]mall$/),
  ]);
  expect(formatPrepareSamples(summary)).toContain(`note: ${summary.notes[0]}`);
});

test('columns and options that nothing is read from are refused', async () => {
  const row = await writeReading(0, 0);
  const wrong = { Patient: '{image}' } as PrepareSamplesOptions['columns'];
  await expect(prepared('wrong', ['image,mask', row], { columns: wrong! })).rejects.toThrow(
    /not read from columns of this name[\s\S]*Patient[\s\S]*image, mask, label, patient, split, id/,
  );
  mkdirSync(at('pairs/images'), { recursive: true });
  mkdirSync(at('pairs/labels'));
  const options = { out: at('refused'), columns: { patient: '{x}' } };
  for (const task of ['manifest', 'ncs'] as const)
    await expect(prepareSamples({ ...options, task, input: at('pairs') })).rejects.toThrow(/no table/);
  const ofTask = (task: TaskName, more: Partial<PrepareSamplesOptions>) =>
    prepareSamples({ task, input: at('pairs'), out: at('refused'), ...more });
  await expect(ofTask('ncs', { classes: ['a'] })).rejects.toThrow(/--classes[\s\S]*manifest or medmnist/);
  await expect(ofTask('lcs', { columns: { patient: '{x}' } })).rejects.toThrow(
    /--column[\s\S]*manifest or ncs/,
  );
});
