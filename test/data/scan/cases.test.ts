import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readVolume } from '../../../src/data/scan/index.js';
import { userErrorOf } from './samples.js';

const CASES = join(import.meta.dirname, '../../../../shared/cases');
const present = existsSync(CASES);
if (!present) console.warn('skipped: no small cases in ../shared/cases');
const read = (name: string) => readVolume(join(CASES, name));

describe.skipIf(!present)('files that other readers read', () => {
  it.each<[string, string]>([
    ['metaimage/dot.mhd', 'metaimage/list.mhd'],
    ['metaimage/relsub.mhd', 'metaimage/list.mhd'],
    ['metaimage/commentline.mhd', 'metaimage/list.mhd'],
    ['nifti/sform_nan_qform_ok.nii', 'nifti/plain.nii'],
    ['nifti/trail_inflated.nii.gz', 'nifti/plain.nii'],
    ['npy/f.npy', 'npy/c.npy'],
    ['npy/d4.npy', 'npy/c.npy'],
  ])('%s is the scan of %s', async (name, same) => {
    expect(await read(name)).toEqual(await read(same));
  });

  it('a negative spacing is its absolute value, along the axis turned round', async () => {
    const { voxels, ...grid } = await read('metaimage/negspacing.mhd');
    expect(grid.spacing).toEqual([0.7, 0.8, 2.5]);
    expect(grid.direction).toEqual([1, 0, 0, 0, 1, 0, 0, 0, -1]);
    expect(voxels).toEqual((await read('metaimage/list.mhd')).voxels);
  });

  it.each([
    ['metaimage/scaledmatrix.mhd', 'scales or shears'],
    ['nifti/analyze.hdr', 'Analyze 7.5'],
  ])('%s is refused: %s', async (name, message) => {
    expect((await userErrorOf(read(name))).message).toContain(message);
  });
});
