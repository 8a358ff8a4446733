import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { orientLPS, worldToVoxel } from '../../../src/data/scan/geometry.js';
import { findScans, readScanHeader, readVolume } from '../../../src/data/scan/index.js';
import { writeNifti } from '../../../src/data/scan/nifti.js';
import type { Volume, Voxels } from '../../../src/data/scan/volume.js';
import { temporaryFolder, userErrorOf } from './samples.js';

const DATA = join(import.meta.dirname, '../../../../shared/data');
const present = existsSync(join(DATA, 'format_samples'));
if (!present) console.warn('skipped: no third-party scans in ../shared/data');
const file = temporaryFolder();
const nifti = (name: string) => join(DATA, 'format_samples/nifti-reader-js', name);

function range(volume: Volume): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of volume.voxels) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

/** Compares voxels as bytes: `toEqual` would take seconds for a million of them. */
function expectSameScan(actual: Volume, expected: Volume): void {
  const { voxels, ...grid } = actual;
  expect(expected).toMatchObject(grid);
  expect(voxels.constructor).toBe(expected.voxels.constructor);
  expect(Buffer.compare(bytesOf(voxels), bytesOf(expected.voxels))).toBe(0);
}

function bytesOf({ buffer, byteOffset, byteLength }: Voxels): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

describe.skipIf(!present)('scans written by other programs', () => {
  it('NIfTI-1 and 2, big-endian uint8 and little-endian float32, of the same brain agree', async () => {
    const [plain, zipped, second] = await Promise.all(
      ['avg152T1_LR_nifti.nii', 'avg152T1_LR_nifti.nii.gz', 'avg152T1_LR_nifti2.nii.gz'].map((name) =>
        readVolume(nifti(name)),
      ),
    );
    expectSameScan(zipped!, plain!);
    expectSameScan(second!, plain!);
    // MNI space: its origin (0, 0, 0), the anterior commissure, is voxel (45, 63, 36).
    expect(worldToVoxel(plain!, [0, 0, 0])).toEqual([45, 63, 36]);
    expect(range(plain!)).toEqual([0, 255]);
  });

  it('the same scan in both byte orders is the same', async () => {
    expectSameScan(await readVolume(nifti('big.nii.gz')), await readVolume(nifti('little.nii.gz')));
  });

  it('extensions are passed over', async () => {
    const roi = await readVolume(nifti('with_extension.nii.gz'));
    expect(range(roi)).toEqual([0, 1]);
    expect(roi).toMatchObject({ size: [161, 191, 151], origin: [-80, -80, 85] });
  });

  it('pairs of header and image, NIfTI-1 and 2, are the same', async () => {
    for (const name of ['air.hdr', 'air.img', 'air2.hdr', 'air2.img']) {
      file(name, gunzipSync(readFileSync(nifti(`${name}.gz`))));
    }
    const first = await readVolume(file('air.hdr'));
    expect(first.size).toEqual([79, 67, 64]);
    expect(range(first)[1]).toBeGreaterThan(range(first)[0]);
    const second = await readVolume(file('air2.img'));
    expect(Buffer.compare(bytesOf(second.voxels), bytesOf(first.voxels))).toBe(0);
  });

  it('5-D images and files that are no NIfTI are refused', async () => {
    expect((await userErrorOf(readVolume(nifti('5D_small.nii')))).message).toContain('three-dimensional');
    expect((await userErrorOf(readVolume(nifti('5D_zeros.nii.gz')))).message).toContain('three-dimensional');
    expect((await userErrorOf(readVolume(nifti('not-nifti.nii')))).message).toContain('not a NIfTI header');
  });

  it('compressed MetaImages of elastix hold a lung CT and its mask', async () => {
    const elastix = join(DATA, 'format_samples/elastix');
    const ct = await readVolume(join(elastix, 'Baselines/3DCT_lung.mha'));
    expect(ct).toMatchObject({
      size: [115, 157, 129],
      spacing: [1.366, 1.366, 2.5],
      origin: [-153.827, -150.352, -1434.5],
    });
    expect(range(ct)).toEqual([-1255, 1474]);
    const mask = await readVolume(join(elastix, 'Data/3DCT_lung_baseline_mask.mha'));
    let [sum, count] = [0, 0];
    mask.voxels.forEach((label: number, i: number) => {
      sum += label * ct.voxels[i]!;
      count += label;
    });
    expect(sum / count).toBeLessThan(-300);
    expect(await findScans([elastix])).toHaveLength(5);
  });
});

describe.skipIf(!present)('chest CT', () => {
  const path = join(DATA, 'chest_ct/C3N-00247_native.nii.gz');

  it('is read, and again the same after writing', async () => {
    const ct = await readVolume(path);
    expect(ct.size).toEqual([512, 512, 99]);
    expect(range(ct)).toEqual([-1024, 3071]);
    expect(ct.origin).toEqual([-143.2177734375, -287.2177734375, -288]);
    expect(orientLPS(ct)).toBe(ct);
    await writeNifti(file('ct.nii'), ct);
    expectSameScan(await readVolume(file('ct.nii')), ct);
  });

  it('shows its header when only the first 4 KiB are there', async () => {
    const start = file('start.nii.gz', readFileSync(path).subarray(0, 4096));
    const header = await readScanHeader(start);
    expect(header).toMatchObject({ format: 'NIfTI-1', elementType: 'int16', grid: { size: [512, 512, 99] } });
    expect((await userErrorOf(readVolume(start))).message).toContain('too short');
  });
});
