import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { findScans, readScanHeader, readVolume } from '../../../src/data/formats/index.js';
import { writeNifti } from '../../../src/data/formats/nifti.js';
import { orientLPS, worldToVoxel } from '../../../src/data/geometry.js';
import type { Volume } from '../../../src/data/volume.js';
import { temporaryFolder, userErrorOf } from './samples.js';

const DATA = join(import.meta.dirname, '../../../../shared/data');
const present = existsSync(join(DATA, 'format_samples'));
if (!present) console.warn('skipped: no third-party scans in ../shared/data');
const file = temporaryFolder();
const nifti = (name: string) => join(DATA, 'format_samples/nifti-reader-js', name);

function range({ voxels }: Volume): [number, number] {
  return voxels.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
}

describe.skipIf(!present)('scans written by other programs', () => {
  it('NIfTI-1 and 2, big-endian uint8 and little-endian float32, of the same brain agree', async () => {
    const [plain, zipped, second] = await Promise.all(
      ['avg152T1_LR_nifti.nii', 'avg152T1_LR_nifti.nii.gz', 'avg152T1_LR_nifti2.nii.gz'].map((name) =>
        readVolume(nifti(name)),
      ),
    );
    expect(zipped).toEqual(plain);
    expect(second).toEqual(plain);
    // MNI space: its origin (0, 0, 0), the anterior commissure, is voxel (45, 63, 36).
    expect(worldToVoxel(plain!, [0, 0, 0])).toEqual([45, 63, 36]);
    expect(range(plain!)).toEqual([0, 255]);
  });

  it('the same scan in both byte orders is the same', async () => {
    expect(await readVolume(nifti('big.nii.gz'))).toEqual(await readVolume(nifti('little.nii.gz')));
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
    expect((await readVolume(file('air2.img'))).voxels).toEqual(first.voxels);
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
    const inside = ct.voxels.filter((_, i) => mask.voxels[i] === 1);
    expect(inside.reduce((sum, hu) => sum + hu, 0) / inside.length).toBeLessThan(-300);
    expect(await findScans([elastix])).toHaveLength(5);
  });
});

describe.skipIf(!present)('chest CT', () => {
  const path = join(DATA, 'chest_ct/C3N-00247_native.nii.gz');

  it('is read at the speed of zlib, and again the same after writing', async () => {
    const start = performance.now();
    const ct = await readVolume(path);
    const reading = performance.now() - start;
    gunzipSync(readFileSync(path));
    const inflating = performance.now() - start - reading;
    expect(reading).toBeLessThan(2 * inflating + 300);

    expect(ct.size).toEqual([512, 512, 99]);
    expect(range(ct)).toEqual([-1024, 3071]);
    expect(ct.origin).toEqual([-143.2177734375, -287.2177734375, -288]);
    expect(orientLPS(ct)).toBe(ct);
    await writeNifti(file('ct.nii'), ct);
    expect(Buffer.compare(bytesOf(await readVolume(file('ct.nii'))), bytesOf(ct))).toBe(0);
  });

  it('shows its header at once', async () => {
    const start = performance.now();
    const header = await readScanHeader(path);
    expect(performance.now() - start).toBeLessThan(100);
    expect(header).toMatchObject({ format: 'NIfTI-1', elementType: 'int16' });
  });
});

function bytesOf({ voxels }: Volume): Uint8Array {
  return new Uint8Array(voxels.buffer, voxels.byteOffset, voxels.byteLength);
}
