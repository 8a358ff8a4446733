import { readFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearestOrthonormal } from '../../../src/data/scan/geometry.js';
import { readScanHeader, readVolume } from '../../../src/data/scan/index.js';
import { writeNifti } from '../../../src/data/scan/nifti.js';
import type { Volume } from '../../../src/data/scan/volume.js';
import {
  concat,
  expectSameGrid,
  type NiftiFields,
  niftiHeader,
  phantom,
  rawBytes,
  TYPES,
  type TypeName,
  temporaryFolder,
  userErrorOf,
} from './samples.js';

const file = temporaryFolder();
const CODES: Record<TypeName, number> = {
  uint8: 2,
  int16: 4,
  int32: 8,
  float32: 16,
  float64: 64,
  int8: 256,
  uint16: 512,
  uint32: 768,
  int64: 1024,
  uint64: 1280,
};
const HU = Int16Array.from({ length: 60 }, (_, i) => 50 * i - 1024);

function readNii(fields: NiftiFields, data = rawBytes(HU, 'int16', fields.littleEndian ?? true)) {
  return readVolume(file('x.nii', concat(niftiHeader(fields), data)));
}

describe('values', () => {
  const layouts = [1, 2].flatMap((version) =>
    [true, false].map((littleEndian) => ({ version, littleEndian })),
  );
  for (const layout of layouts as { version: 1 | 2; littleEndian: boolean }[]) {
    it.each(Object.keys(CODES) as TypeName[])(
      `${JSON.stringify(layout)} %s are read exactly`,
      async (type) => {
        const values = [TYPES[type].low, TYPES[type].high, 1, 0];
        const fields = { ...layout, datatype: CODES[type], dim: [3, 2, 2, 1, 1, 1, 1, 1] };
        const read = await readNii(fields, rawBytes(values, type, layout.littleEndian));
        expect(read.size).toEqual([2, 2, 1]);
        expect([...read.voxels]).toEqual(values.map(Math.fround));
      },
    );
  }

  it('are scaled: int16 when all are integral afterwards, else float32', async () => {
    const whole = await readNii({ slope: 2, intercept: -24 });
    expect(whole.voxels).toEqual(Int16Array.from(HU, (x) => 2 * x - 24));
    const half = await readNii({ slope: 0.5, intercept: 0.25 });
    expect(half.voxels).toEqual(Float32Array.from(HU, (x) => 0.5 * x + 0.25));
  });

  it.each([0, Number.NaN, Number.POSITIVE_INFINITY])('are as stored when the slope is %d', async (slope) => {
    expect((await readNii({ slope, intercept: 7 })).voxels).toEqual(HU);
  });

  it('come after vox_offset bytes, compressed or not, and from an .img beside its .hdr', async () => {
    const gap = new Uint8Array(48);
    const data = rawBytes(HU, 'int16');
    const single = concat(niftiHeader({ voxOffset: 400 }), gap, data);
    expect((await readVolume(file('gap.nii', single))).voxels).toEqual(HU);
    expect((await readVolume(file('gap.nii.gz', gzipSync(single)))).voxels).toEqual(HU);
    file('pair.hdr', niftiHeader({ voxOffset: 16, magic: 'ni1\0' }));
    file('pair.img', concat(gap.subarray(0, 16), data));
    for (const name of ['pair.hdr', 'pair.img']) {
      expect((await readVolume(file(name))).voxels).toEqual(HU);
    }
  });

  it.each([0, 1, 512, 3 << 20])('come before %d bytes of anything else', async (count) => {
    const nii = concat(niftiHeader(), rawBytes(HU, 'int16'));
    const padded = concat(nii, new Uint8Array(count).fill(7));
    for (const [name, bytes] of [
      ['behind.nii', padded],
      ['behind.nii.gz', gzipSync(padded)],
      ['zeros.nii.gz', concat(gzipSync(nii), new Uint8Array(count))],
      ['member.nii.gz', concat(gzipSync(nii), gzipSync(new Uint8Array(count)))],
    ] as const)
      expect((await readVolume(file(name, bytes))).voxels, name).toEqual(HU);
  });

  it('are found beside a header in capitals', async () => {
    file('OLD.HDR', niftiHeader({ voxOffset: 0, magic: 'ni1\0' }));
    file('OLD.IMG', rawBytes(HU, 'int16'));
    for (const name of ['OLD.HDR', 'OLD.IMG']) expect((await readVolume(file(name))).voxels).toEqual(HU);
  });

  it('may have further axes of length 1', async () => {
    expect((await readNii({ dim: [5, 5, 4, 3, 1, 1, 0, 0] })).voxels).toEqual(HU);
  });
});

describe('orientation', () => {
  // Axis x runs to the patient's right in 2 mm steps, y to anterior in 3 mm, z to superior in 4 mm.
  const sform = { code: 2, rows: [2, 0, 0, -10, 0, 3, 0, -20, 0, 0, 4, 30] };
  // 180° about z: x to the left, y to posterior, with qfac 1.
  const qform = { code: 1, bcd: [0, 0, 1], offset: [90, 80, -70] };
  const pixdim = [1, 0.5, 0.6, 0.7, 1, 1, 1, 1];

  it('takes the sform first, turned from RAS to LPS, even when the qform has the higher code', async () => {
    for (const version of [1, 2] as const) {
      const read = await readNii({ version, sform, qform: { ...qform, code: 3 }, pixdim });
      expect(read.direction).toEqual([-1, 0, 0, 0, -1, 0, 0, 0, 1]);
      expect(read.spacing).toEqual([2, 3, 4]);
      expect(read.origin).toEqual([10, 20, 30]);
    }
  });

  it('takes the qform when there is no sform', async () => {
    for (const version of [1, 2] as const) {
      const read = await readNii({ version, sform: { ...sform, code: 0 }, qform, pixdim });
      expect(read.direction.map(Math.round)).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1]);
      expect(read.spacing[1]).toBeCloseTo(0.6, 6);
      expect(read.origin).toEqual([-90, -80, -70]);
      const mirrored = await readNii({ version, qform, pixdim: [-1, ...pixdim.slice(1)] });
      expect(mirrored.direction.map(Math.round)).toEqual([1, 0, 0, 0, 1, 0, 0, 0, -1]);
      const negative = await readNii({ version, qform, pixdim: [1, ...pixdim.slice(1).map((mm) => -mm)] });
      expect(negative).toMatchObject({ spacing: read.spacing, direction: read.direction });
    }
  });

  it('falls back to voxel sizes along R, A, S', async () => {
    const read = await readNii({ pixdim: [1, 0.5, 2, 4, 1, 1, 1, 1] });
    expect(read).toMatchObject({
      direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1],
      spacing: [0.5, 2, 4],
      origin: [0, 0, 0],
    });
  });

  const NAN = Number.NaN;
  const flat = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
  it.each([
    ['zeros', new Array<number>(12).fill(0)],
    ['NaN', new Array<number>(12).fill(NAN)],
    ['one NaN', [2, 0, 0, NAN, ...sform.rows.slice(4)]],
    ['one infinity', [...sform.rows.slice(0, 11), Number.POSITIVE_INFINITY]],
    ['a plane', flat],
    ['an axis of length 0', [2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]],
  ])('passes over an sform of %s: qform, or voxel sizes', async (_, rows) => {
    for (const version of [1, 2] as const) {
      const broken = { version, sform: { code: 1, rows }, pixdim };
      const good = await readNii({ ...broken, sform: { code: 0, rows }, qform });
      expect(await readNii({ ...broken, qform })).toEqual(good);
      const plain = await readNii({ version, pixdim });
      expect(await readNii(broken)).toEqual(plain);
      const none = { code: 1, bcd: [NAN, 0, 1], offset: [0, 0, 0] };
      expect(await readNii({ ...broken, qform: none })).toEqual(plain);
    }
  });

  it('converts metres and microns', async () => {
    expect((await readNii({ sform, units: 3 })).spacing.map((mm) => mm * 1000)).toEqual([2, 3, 4]);
    expect((await readNii({ sform, units: 1 })).origin).toEqual([10_000, 20_000, 30_000]);
  });

  /** z leans towards y. */
  const leaning = (degrees: number) => ({
    code: 1,
    rows: [1, 0, 0, 0, 0, 1, Math.tan((degrees * Math.PI) / 180), 0, 0, 0, 1, 0],
  });

  it('refuses sheared axes, which a grid cannot keep, also where the qform has none', async () => {
    const upright = { code: 1, bcd: [0, 0, 0], offset: [0, 0, 0] };
    const error = await userErrorOf(readNii({ sform: leaning(10), qform: upright }));
    expect(error.message).toMatch(/sform scales or shears the scan[\s\S]*rectangular grid/);
  });

  it('takes axes that are off right angles by rounding for the nearest ones', async () => {
    const [, , , , yy, yz, , zy, zz] = (await readNii({ sform: leaning(0.2) })).direction as number[];
    expect(yy! * yz! + zy! * zz!).toBeCloseTo(0, 12);
    expect(Math.asin(zy!)).toBeCloseTo((-0.1 * Math.PI) / 180, 6); // y turns away from z by half of it
  });
});

describe('broken files', () => {
  it.each<[string, NiftiFields, string]>([
    ['2-D', { dim: [2, 5, 4, 1, 1, 1, 1, 1] }, 'three-dimensional'],
    ['4-D', { dim: [4, 5, 4, 3, 2, 1, 1, 1] }, 'three-dimensional'],
    ['8-D', { dim: [8, 5, 4, 3, 1, 1, 1, 1] }, 'three-dimensional'],
    ['complex', { datatype: 32 }, 'not supported'],
    ['RGB', { datatype: 128 }, 'not supported'],
    ['of a type that does not exist', { version: 2, datatype: 5 }, 'not supported'],
    ['of negative size', { dim: [3, -5, 4, 3, 1, 1, 1, 1] }, 'size of the scan'],
    ['of huge size', { dim: [3, 32767, 32767, 32767, 1, 1, 1, 1] }, 'size of the scan'],
    [
      'of huge 64-bit size',
      { version: 2, dim: [3, 2 ** 52, 2 ** 52, 2 ** 52, 1, 1, 1, 1] },
      'size of the scan',
    ],
    ['larger than the file', { dim: [3, 512, 512, 300, 1, 1, 1, 1] }, 'too short'],
    ['with voxels in the header', { voxOffset: 100 }, 'vox_offset'],
    ['with voxels nowhere', { voxOffset: 1e30 }, 'vox_offset'],
    ['with voxels beyond the end', { voxOffset: 1e6 }, 'too short'],
    ['of zero spacing', { pixdim: [1, 0, 0, 0, 1, 1, 1, 1] }, 'spacing'],
    ['without intercept', { slope: 2, intercept: Number.NaN }, 'intercept'],
    ['with the signature of a pair', { magic: 'ni1\0' }, 'signature'],
    ['without signature', { magic: '\0\0\0\0' }, 'signature'],
  ])('%s are refused', async (_, fields, message) => {
    expect((await userErrorOf(readNii(fields))).message).toContain(message);
  });

  it('named wrongly are refused with the right name', async () => {
    const nii = concat(niftiHeader(), rawBytes(HU, 'int16'));
    expect((await userErrorOf(readVolume(file('plain.nii.gz', nii)))).facts.fix).toContain('.nii');
    expect((await userErrorOf(readVolume(file('zipped.nii', gzipSync(nii))))).facts.fix).toContain('.nii.gz');
    expect((await userErrorOf(readVolume(file('none.nii', 'some text')))).message).toContain(
      'not a NIfTI header',
    );
  });

  it('compressed ones are refused when cut off, damaged or lying about their size', async () => {
    const nii = concat(niftiHeader(), rawBytes(HU, 'int16'));
    const read = async (bytes: Uint8Array) =>
      (await userErrorOf(readVolume(file('b.nii.gz', bytes)))).message;
    const good = gzipSync(nii);
    expect(await read(new Uint8Array())).toContain('the file is empty');
    expect(await read(good.subarray(0, good.length - 9))).toContain('data are corrupt');
    const wrongChecksum = Uint8Array.from(good);
    wrongChecksum[good.length - 6]! ^= 1;
    expect(await read(wrongChecksum)).toContain('data are corrupt');
    expect(await read(gzipSync(niftiHeader({ dim: [3, 512, 512, 300, 1, 1, 1, 1] })))).toContain('too short');
  });

  it('are named by their format when they are Analyze 7.5', async () => {
    for (const littleEndian of [true, false]) {
      file('old.hdr', niftiHeader({ magic: '\0\0\0\0', voxOffset: 0, littleEndian }).subarray(0, 348));
      file('old.img', rawBytes(HU, 'int16'));
      for (const name of ['old.hdr', 'old.img'])
        expect((await userErrorOf(readVolume(file(name)))).message).toMatch(/Analyze 7\.5[\s\S]*convert it/);
    }
  });
});

describe('readScanHeader', () => {
  it('tells type, grid and fields without the voxels', async () => {
    const sform = { code: 1, rows: [1, 0, 0, 7, 0, 1, 0, 8, 0, 0, 1, 9] };
    const header = await readScanHeader(file('h.nii', niftiHeader({ version: 2, sform })));
    expect(header).toMatchObject({ format: 'NIfTI-2', elementType: 'int16', grid: { size: [5, 4, 3] } });
    expect(header.fields).toMatchObject({ dims: '3 5 4 3 1 1 1 1', sform_code: '1', srow_y: '0 1 0 8' });
  });
});

describe('writeNifti', () => {
  it.each(['w.nii', 'w.nii.gz'])('%s is read back bit by bit', async (name) => {
    for (const voxels of [phantom().voxels, Float32Array.from(phantom().voxels, (x) => x / 8)]) {
      const volume = { ...phantom(), voxels };
      await writeNifti(file(name), volume);
      const read = await readVolume(file(name));
      expect(read.voxels).toEqual(voxels);
      expectSameGrid(read, volume, 4);
    }
  });

  it('writes the same place and orientation into sform and qform, for any axes', async () => {
    const matrix = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 9, maxLength: 9 });
    await fc.assert(
      fc.asyncProperty(matrix, async (values) => {
        const direction = nearestOrthonormal(unitColumns(values));
        fc.pre(direction !== undefined);
        const volume: Volume = { ...phantom([1, 1, 1]), direction: direction! };
        await writeNifti(file('q.nii'), volume);
        expectSameGrid(await readVolume(file('q.nii')), volume, 4);
        const bytes = readFileSync(file('q.nii'));
        bytes.writeInt16LE(0, 254); // no sform
        expectSameGrid(await readVolume(file('q.nii', bytes)), volume, 4);
      }),
      { seed: 3, numRuns: 60, examples: HALF_TURNS.map((turn) => [turn]) },
    );
  });

  it('writes masks as uint8', async () => {
    const mask = { ...phantom([2, 2, 1]), voxels: Uint8Array.of(0, 1, 2, 255) };
    await writeNifti(file('mask.nii.gz'), mask);
    const bytes = gunzipSync(readFileSync(file('mask.nii.gz')));
    expect(bytes.readInt16LE(70)).toBe(2);
    expect(bytes.subarray(352)).toEqual(Buffer.of(0, 1, 2, 255));
  });

  it('refuses other extensions and sides that NIfTI-1 cannot tell', async () => {
    expect((await userErrorOf(writeNifti(file('x.hdr'), phantom()))).kind).toBe('usage');
    expect((await userErrorOf(writeNifti(file('x.nii'), phantom([32768, 1, 1])))).kind).toBe('usage');
  });
});

/** Rotations by 180°, for which the quaternion's first component is 0, and mirrored ones. */
const HALF_TURNS = [
  [1, 0, 0, 0, 1, 0, 0, 0, 1],
  [1, 0, 0, 0, -1, 0, 0, 0, -1],
  [-1, 0, 0, 0, 1, 0, 0, 0, -1],
  [-1, 0, 0, 0, -1, 0, 0, 0, 1],
  [-1, 0, 0, 0, 1, 0, 0, 0, 1],
  [0, 0, 1, 0, -1, 0, 1, 0, 0],
];

function unitColumns(m: readonly number[]): number[] {
  const lengths = [0, 1, 2].map((c) => Math.hypot(m[c]!, m[c + 3]!, m[c + 6]!));
  return m.map((value, i) => value / lengths[i % 3]!);
}
