import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../src/random.js';
import { ctSeries, ctSlice, dicomBytes, type Elements, fragments, writeFiles } from './dicom/writer.js';
import { concat, niftiHeader, temporaryFolder } from './samples.js';

const file = temporaryFolder();
const MiB = 1 << 20;

function readAlone(path: string): { outcome: string; grownMiB: number } {
  const script = join(import.meta.dirname, 'peak-memory.ts');
  return JSON.parse(execFileSync(process.execPath, ['--import', 'tsx', script, path], { encoding: 'utf8' }));
}

/** Bytes as a gzip stream, then as many MiB of them again and again: gzip streams may be joined. */
const repeated = (head: Uint8Array, chunk: Uint8Array, times: number) =>
  concat(gzipSync(head), ...new Array<Uint8Array>(times).fill(gzipSync(chunk)));
const zeros = new Uint8Array(16 * MiB);
const halves = new Uint8Array(new Float64Array(2 * MiB).fill(0.5).buffer);
const noise = (bytes: number) => {
  const random = randomStream(4, 'noise');
  return Uint8Array.from({ length: bytes }, () => random.integer(256));
};
/** 256 MiB of float64. */
const float64 = niftiHeader({ datatype: 64, dim: [3, 512, 512, 128, 1, 1, 1, 1] });
/** 64 MiB are int16, 128 MiB float32; what comes on top is the reader's. */
const READER_MIB = 96;

describe('reading takes the memory of the voxels, not of what is stored or claimed', () => {
  it.each<[string, () => string, string, number]>([
    [
      'whole numbers as float64, .nii.gz',
      () => file('whole.nii.gz', repeated(float64, zeros, 16)),
      'Int16Array of 512×512×128',
      64,
    ],
    [
      'other numbers as float64, .nii.gz',
      () => file('halves.nii.gz', repeated(float64, halves, 16)),
      'Float32Array of 512×512×128',
      128,
    ],
    [
      'whole numbers as float64, .mha',
      () => {
        const header = `NDims = 3\nDimSize = 512 512 64\nElementType = MET_DOUBLE\nCompressedData = True\nElementDataFile = LOCAL\n`;
        return file('whole.mha', concat(Buffer.from(header), deflateSync(new Uint8Array(128 * MiB))));
      },
      'Int16Array of 512×512×64',
      32,
    ],
    [
      'a DICOM series of 64 files',
      () => {
        const pixels = new Uint8Array(512 * 512 * 2);
        const size: Elements = {
          '00280010': ['US', 512],
          '00280011': ['US', 512],
          '7fe00010': ['OW', pixels],
        };
        return writeFiles(
          file('series'),
          ctSeries(64, () => size),
        );
      },
      'Int16Array of 512×512×64',
      32,
    ],
    [
      'a DICOM file of 1 KiB that claims two gigabytes',
      () => {
        const claim: Elements = {
          '00280010': ['US', 4096],
          '00280011': ['US', 4096],
          '00280008': ['IS', '60'],
        };
        const frame = (z: number): Elements => ({
          '00209113': ['SQ', [{ '00200032': ['DS', `0\\0\\${z}`] }]],
        });
        const frames: Elements = { '52009230': ['SQ', Array.from({ length: 60 }, (_, z) => frame(z))] };
        const options = { syntax: '1.2.840.10008.1.2.5', compressed: fragments([new Uint8Array(64)]) };
        return file('claim', dicomBytes(ctSlice(0, { ...claim, ...frames }), options));
      },
      'cannot be told apart',
      0,
    ],
    [
      'a deflated DICOM file of 128 KiB with 128 MiB of zeros in its header',
      () => {
        const more: Elements = { '00291010': ['OB', new Uint8Array(128 * MiB)] };
        return file('deflated', dicomBytes(ctSlice(0, more), { syntax: '1.2.840.10008.1.2.1.99' }));
      },
      'its header is longer than 16 MiB',
      0,
    ],
    [
      '512 MiB behind the voxels',
      () => file('behind.nii.gz', repeated(concat(niftiHeader(), zeros.subarray(0, 120)), zeros, 32)),
      'Int16Array of 5×4×3',
      0,
    ],
    [
      'a gigabyte that 1 MiB claims and could just hold',
      () => {
        const header = niftiHeader({ dim: [3, 1000, 1000, 500, 1, 1, 1, 1] });
        return file('liar.nii.gz', gzipSync(concat(header, noise(MiB))));
      },
      'too short',
      0,
    ],
    [
      'two gigabytes that 1 KiB claims',
      () => file('tiny.nii.gz', gzipSync(niftiHeader({ dim: [3, 1024, 1024, 1024, 1, 1, 1, 1] }))),
      'too short',
      0,
    ],
  ])('%s', (_, write, outcome, mib) => {
    const read = readAlone(write());
    expect(read.outcome).toContain(outcome);
    expect(read.grownMiB).toBeLessThan(mib + READER_MIB);
  });
});
