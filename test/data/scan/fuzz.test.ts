import { mkdirSync } from 'node:fs';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readScanHeader, readVolume } from '../../../src/data/scan/index.js';
import { npyHeader } from '../../../src/data/scan/npy.js';
import { UserError } from '../../../src/errors.js';
import { type RandomStream, randomStream } from '../../../src/random.js';
import { concat, niftiHeader, phantom, rawBytes, temporaryFolder } from './samples.js';

const file = temporaryFolder();
const MUTANTS = 300;
const data = rawBytes(phantom().voxels, 'int16');
const sform = { code: 1, rows: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] };
const mhd = (lines: string) =>
  Buffer.from(`NDims = 3\nDimSize = 5 4 3\nElementType = MET_SHORT\nElementSpacing = 1 1 2\n${lines}`);
const nrrd = (lines: string) =>
  Buffer.from(`NRRD0004\ntype: short\ndimension: 3\nsizes: 5 4 3\nendian: little\n${lines}`);

/** A good file of every kind; each reader sees thousands of broken relatives of it. */
const SEEDS: Record<string, Uint8Array> = {
  'plain.mha': concat(mhd('Offset = 0 1 2\nElementDataFile = LOCAL\n'), data),
  'zlib.mha': concat(mhd('CompressedData = True\nElementDataFile = LOCAL\n'), deflateSync(data)),
  'beside.mhd': mhd('TransformMatrix = 1 0 0 0 1 0 0 0 1\nHeaderSize = -1\nElementDataFile = beside.raw\n'),
  'comments.mha': concat(
    Buffer.from(
      '# by a tool\n\nNDims: 3\nDimSize = 5 4 3\nElementType = MET_SHORT\nElementSpacing = 1 -1 2\n',
    ),
    Buffer.from('TransformMatrix = 0 1 0 1 0 0 0 0 -1\nElementDataFile = LOCAL\n'),
    data,
  ),
  'list.mhd': mhd('ElementDataFile = LIST 2\nslice1.raw\n./slice2.raw\nslices/slice3.raw\n'),
  'zlist.mhd': mhd('CompressedData = True\nElementDataFile = LIST\nz1.raw\nz2.raw\nz3.raw\n'),
  'pattern.mhd': mhd('ElementDataFile = slice%01d.raw 1 3 1\n'),
  'one.nii': concat(niftiHeader({ sform, slope: 1 }), data),
  'two.nii': concat(niftiHeader({ version: 2, sform, slope: 1 }), data),
  'big.nii': concat(niftiHeader({ littleEndian: false, sform }), data),
  'gzip.nii.gz': gzipSync(concat(niftiHeader({ sform }), data)),
  'forms.nii': concat(
    niftiHeader({
      sform: { code: 1, rows: new Array<number>(12).fill(0) },
      qform: { code: 1, bcd: [0, 0, 1], offset: [1, 2, 3] },
    }),
    data,
  ),
  'behind.nii.gz': gzipSync(concat(niftiHeader({ sform }), data, new Uint8Array(392))),
  'pair.hdr': niftiHeader({ magic: 'ni1\0', voxOffset: 0 }),
  'raw.nrrd': concat(nrrd('space: RAS\nspace directions: (1,0,0) (0,1,0) (0,0,2)\nencoding: raw\n\n'), data),
  'zipped.nrrd': concat(nrrd('spacings: 1 1 2\nencoding: gzip\n\n'), gzipSync(data)),
  'skips.nrrd': concat(nrrd('line skip: 1\nbyte skip: 2\nencoding: raw\n\na line\n12'), data),
  'text.nrrd': nrrd(`encoding: text\n\n${[...phantom().voxels].join(' ')}`),
  'list.nhdr': nrrd(
    '# one file a slice, as some scanners have them\ncontent: a small phantom of three slices\nencoding: raw\ndata file: LIST 2\nslice1.raw\n./slice2.raw\nslices/slice3.raw\n',
  ),
  'zpattern.nhdr': nrrd('encoding: gzip\ndata file: z%01d.raw 1 3 1\n'),
  'array.npy': concat(npyHeader('int16', [3, 4, 5]), data),
  'axes.npy': concat(npyHeader('int16', [1, 3, 4, 5, 1]), data),
  'half.npy': concat(npyHeader('float16', [3, 4, 5]), data),
  'fortran.npy': Buffer.from(
    Buffer.from(concat(npyHeader('int16', [3, 4, 5]), data))
      .toString('latin1')
      .replace('False', 'True '),
    'latin1',
  ),
};
const NUMBERS = ['-1', '0', '1', '1e9', '99999999999999999999', 'nan', '-0.5', '1e-300', '65536', ''];

const BYTES = [0, 0x7f, 0x80, 0xff];

/** Breaks a file in one to three ways: bits, bytes, numbers of the header, length. */
function mutate(seed: Uint8Array, random: RandomStream): Uint8Array {
  let bytes: Uint8Array = Uint8Array.from(seed);
  for (let n = 1 + random.integer(3); n > 0 && bytes.length > 0; n--) {
    // Headers are at the start: most breaks belong there.
    const at = random.integer(random.integer(3) > 0 ? Math.min(bytes.length, 360) : bytes.length);
    const kind = random.integer(5);
    if (kind === 0) bytes[at] = bytes[at]! ^ (1 << random.integer(8));
    else if (kind === 1) bytes.subarray(at, at + 1 + random.integer(8)).fill(BYTES[random.integer(4)]!);
    else if (kind === 2) bytes = bytes.subarray(0, random.integer(bytes.length + 1));
    else if (kind === 3) bytes = concat(bytes, new Uint8Array(random.integer(64)));
    else bytes = replaceNumber(bytes, random);
  }
  return bytes;
}

function replaceNumber(bytes: Uint8Array, random: RandomStream): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1');
  const numbers = [...text.slice(0, 300).matchAll(/-?\d+/g)];
  const chosen = numbers[random.integer(Math.max(1, numbers.length))];
  if (!chosen) return bytes;
  const end = chosen.index + chosen[0].length;
  const replaced = text.slice(0, chosen.index) + NUMBERS[random.integer(NUMBERS.length)] + text.slice(end);
  return Buffer.from(replaced, 'latin1');
}

/** The largest single buffer that was asked for since the last call. */
let largestBuffer = 0;
const allocUnsafeSlow = Buffer.allocUnsafeSlow;
beforeAll(() => {
  Buffer.allocUnsafeSlow = (size) => {
    largestBuffer = Math.max(largestBuffer, size);
    return allocUnsafeSlow(size);
  };
});
afterAll(() => {
  Buffer.allocUnsafeSlow = allocUnsafeSlow;
});

describe('every broken file is a volume or a message for users, quickly and without taking memory', () => {
  file('beside.raw', data);
  file('pair.img', data);
  mkdirSync(file('slices'));
  for (const z of [1, 2, 3]) {
    const slice = data.subarray(40 * (z - 1), 40 * z);
    for (const name of [`slice${z}.raw`, `slices/slice${z}.raw`]) file(name, slice);
    file(`z${z}.raw`, deflateSync(slice));
  }

  it.each(Object.keys(SEEDS))('%s', async (name) => {
    const seed = SEEDS[name]!;
    await expect(readVolume(file(name, seed))).resolves.toMatchObject({ size: [5, 4, 3] });
    const outcomes = { volume: 0, error: 0 };
    const memory = process.memoryUsage.rss();
    for (let i = 0; i < MUTANTS; i++) {
      const mutant = mutate(seed, randomStream(20, 'mutant', name, i));
      const path = file(name, mutant);
      largestBuffer = 0;
      const start = process.cpuUsage();
      const result = await readVolume(path).catch((error: unknown) => error);
      const header = await readScanHeader(path).catch((error: unknown) => error);
      // Of this process: other ones may keep it waiting.
      const { user, system } = process.cpuUsage(start);
      expect((user + system) / 1000, `mutant ${i}`).toBeLessThan(1000);
      // The files are below 1 KB; the largest buffer is the one that inflation and text work with.
      expect(largestBuffer, `mutant ${i}`).toBeLessThanOrEqual(/z|text/.test(name) ? 1 << 20 : 2048);
      if (!(header instanceof UserError)) expect(header, `mutant ${i}`).toHaveProperty('fields');
      if (result instanceof UserError) {
        expect(result.message, `mutant ${i}`).toContain(file('').slice(0, 8));
        outcomes.error++;
      } else {
        expect(result, `mutant ${i}`).toHaveProperty('voxels');
        const { voxels, size } = result as { voxels: Int16Array; size: number[] };
        expect(voxels.length, `mutant ${i}`).toBe(size[0]! * size[1]! * size[2]!);
        outcomes.volume++;
      }
    }
    expect(process.memoryUsage.rss() - memory).toBeLessThan(256 * 2 ** 20);
    // Both happen, or the mutations are not worth their name.
    expect(Math.min(outcomes.volume, outcomes.error)).toBeGreaterThan(MUTANTS / 50);
  });
});
