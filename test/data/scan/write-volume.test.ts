import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readVolume } from '../../../src/data/scan/index.js';
import { writeMetaImage } from '../../../src/data/scan/metaimage.js';
import { writeNifti } from '../../../src/data/scan/nifti.js';
import type { Volume } from '../../../src/data/scan/volume.js';
import { VOLUME_FORMATS, type VolumeFormat, writeVolume } from '../../../src/data/scan/write-volume.js';
import { phantom, temporaryFolder, userErrorOf } from './samples.js';

const file = temporaryFolder();

describe('writeVolume', () => {
  it.each(VOLUME_FORMATS)('writes .%s', async (format) => {
    const path = file(`own.${format}`);
    await writeVolume(path, phantom(), format);
    expect((await readVolume(path)).voxels).toEqual(phantom().voxels);
  });

  it.each<[string, VolumeFormat]>([
    ['other.nii', 'nii.gz'],
    ['other.nii.gz', 'nii'],
    ['other.mha', 'nrrd'],
    ['other.mhd', 'mha'],
  ])('refuses to write %s as %s', async (name, format) => {
    const error = await userErrorOf(writeVolume(file(name), phantom(), format));
    expect(error).toMatchObject({ kind: 'usage', facts: { where: file(name), expected: `.${format}` } });
    expect(existsSync(file(name))).toBe(false);
  });
});

describe.each<[string, (path: string, image: Volume) => Promise<void>]>([
  ['wrong.nii', writeNifti],
  ['wrong.nii.gz', writeNifti],
  ['wrong.mha', writeMetaImage],
  ['wrong.mhd', writeMetaImage],
  ['wrong.nrrd', (path, image) => writeVolume(path, image, 'nrrd')],
])('%s is not written', (name, write) => {
  it.each<[string, Partial<Volume>, string, string]>([
    ['of too few voxels', { voxels: new Int16Array(59) }, '59 values', '60, for 5×4×3 voxels'],
    ['of too many voxels', { voxels: new Int16Array(61) }, '61 values', '60, for 5×4×3 voxels'],
    ['of no size', { size: [5, 0, 3], voxels: new Int16Array(0) }, '5×0×3', 'at least 1 voxel'],
    ['of half a voxel', { size: [2.5, 4, 6] }, '2.5×4×6', 'at least 1 voxel'],
    ['without distances', { spacing: [1, 0, 1] }, 'spacing 1, 0, 1 mm', 'above 0 mm'],
    ['of distances below 0', { spacing: [1, 1, -2] }, 'spacing 1, 1, -2 mm', 'above 0 mm'],
    [
      'of distances that are no numbers',
      { spacing: [Number.NaN, 1, 1] },
      'spacing NaN, 1, 1 mm',
      'above 0 mm',
    ],
    ['from nowhere', { origin: [0, Number.NaN, 0] }, 'origin 0, NaN, 0', 'a finite origin'],
    ['along no axes', { direction: new Array(9).fill(Number.NaN) }, 'direction NaN, NaN', 'direction'],
  ])('%s', async (_, changes, got, expected) => {
    const { kind, facts } = await userErrorOf(write(file(name), { ...phantom(), ...changes }));
    expect({ kind, where: facts.where }).toEqual({ kind: 'usage', where: file(name) });
    expect(facts.got).toContain(got);
    expect(facts.expected).toContain(expected);
    expect(existsSync(file(name))).toBe(false);
  });
});

it('values of several channels are counted', async () => {
  const volume = phantom([2, 1, 1]);
  const error = await userErrorOf(writeNifti(file('channels.nii'), volume, 3));
  expect(error.facts).toMatchObject({ got: '2 values', expected: '6, for 2×1×1 voxels of 3 values' });
  expect((await userErrorOf(writeNifti(file('channels.nii'), volume, 0))).facts.where).toBe('channels');
});
