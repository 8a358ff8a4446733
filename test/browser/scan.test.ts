import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { readScan } from '../../src/browser/scan.js';
import { readVolume } from '../../src/data/scan/index.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { makePhantom } from '../../src/phantom/chest.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { bgzip } from './bgzip.js';

const folder = temporaryFolder();
const path = join(folder, 'scan.nii.gz');
let compressed: Uint8Array<ArrayBuffer>;
let plain: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  await writeNifti(path, makePhantom({ seed: 1, index: 0, size: [24, 20, 12] }).volume);
  compressed = new Uint8Array(readFileSync(path));
  plain = new Uint8Array(gunzipSync(compressed));
});
const file = (bytes: Uint8Array<ArrayBuffer>, name: string) => new File([bytes], name);

describe('a scan in a browser', () => {
  test('is what Node.js reads', async () => {
    const expected = await readVolume(path);
    expect(await readScan(file(compressed, 'scan.nii.gz'))).toEqual(expected);
    expect(await readScan(file(plain, 'SCAN.NII'))).toEqual(expected);
    const members = new Uint8Array(bgzip(plain, 1000));
    expect(await readScan(file(members, 'scan.nii.gz'))).toEqual(expected);
  });

  test('is what Node.js reads, of big-endian int16 with a slope', async () => {
    const bytes = plain.slice();
    const swap = (start: number, size: number) => bytes.subarray(start, start + size).reverse();
    for (const [start, size, count] of [
      [0, 4, 1], // sizeof_hdr
      [40, 2, 8], // dim
      [68, 2, 4], // intent_code, datatype, bitpix, slice_start
      [76, 4, 11], // pixdim, vox_offset, scl_slope, scl_inter
      [252, 2, 2], // qform_code, sform_code
      [256, 4, 18], // quaternion, offsets, srow
      [352, 2, 24 * 20 * 12],
    ] as const)
      for (let i = 0; i < count; i++) swap(start + i * size, size);
    new DataView(bytes.buffer).setFloat32(112, 2);
    const big = join(folder, 'big.nii');
    writeFileSync(big, bytes);
    const read = await readScan(file(bytes, 'big.nii'));
    expect(read).toEqual(await readVolume(big));
    expect(read.voxels[100]).toBe(2 * (await readVolume(path)).voxels[100]!);
  });

  test.each([
    ['a file of another kind', 'scan.mha', () => plain, 'this is not a scan that can be read here'],
    ['nothing', 'scan.nii', () => new Uint8Array(), 'the file is empty'],
    ['a name that hides compression', 'scan.nii', () => compressed, 'compressed, contrary to its name'],
    ['a name that claims compression', 'scan.nii.gz', () => plain, 'not compressed, contrary to its name'],
    ['missing voxels', 'scan.nii', () => plain.slice(0, 2000), 'too short'],
    [
      'missing compressed voxels',
      'scan.nii.gz',
      () => compressed.slice(0, compressed.length / 2),
      'scan.nii.gz',
    ],
    [
      'missing voxels of many members',
      'scan.nii.gz',
      () => new Uint8Array(bgzip(plain, 1000)).slice(0, compressed.length / 2),
      'its compressed data are broken',
    ],
    [
      'another bit in a member',
      'scan.nii.gz',
      () => {
        // Stored, not compressed: only its checksum tells.
        const bytes = new Uint8Array(bgzip(plain, 1000, 0));
        bytes[1500]! ^= 1;
        return bytes;
      },
      'its compressed data are broken',
    ],
    [
      'fewer voxels than the header says, compressed',
      'scan.nii.gz',
      () => new Uint8Array(gzipSync(plain.slice(0, 2000))),
      'too short',
    ],
    [
      'sizes that would take all memory',
      'scan.nii',
      () => {
        const bytes = plain.slice();
        new DataView(bytes.buffer).setInt16(42, 32767, true);
        return bytes;
      },
      'too short',
    ],
  ])('%s is refused in words', async (_, name, bytes, message) => {
    const error = await readScan(file(bytes() as Uint8Array<ArrayBuffer>, name)).catch((e) => e);
    expect(error.name).toBe('UserError');
    expect(error.message).toContain(message);
  });
});
