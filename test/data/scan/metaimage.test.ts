import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readScanHeader, readVolume } from '../../../src/data/scan/index.js';
import { writeMetaImage } from '../../../src/data/scan/metaimage.js';
import {
  concat,
  expectSameGrid,
  phantom,
  rawBytes,
  TYPES,
  type TypeName,
  temporaryFolder,
  userErrorOf,
} from './samples.js';

const file = temporaryFolder();
const MET: Record<string, TypeName> = {
  MET_CHAR: 'int8',
  MET_UCHAR: 'uint8',
  MET_SHORT: 'int16',
  MET_USHORT: 'uint16',
  MET_INT: 'int32',
  MET_UINT: 'uint32',
  MET_LONG: 'int32',
  MET_ULONG: 'uint32',
  MET_LONG_LONG: 'int64',
  MET_ULONG_LONG: 'uint64',
  MET_FLOAT: 'float32',
  MET_DOUBLE: 'float64',
};

/** A header of a 2×2×1 int16 scan; later keys win, `undefined` leaves one out. */
function header(overrides: Record<string, string | undefined> = {}): string {
  const { ElementDataFile = 'LOCAL', ...others } = overrides;
  const basic = { ObjectType: 'Image', NDims: '3', DimSize: '2 2 1', ElementType: 'MET_SHORT' };
  return Object.entries({ ...basic, ...others, ElementDataFile })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} = ${value}\n`)
    .join('');
}

const HU = [-1000, 40, 7, 3071];
const voxels = rawBytes(HU, 'int16');

/** Writes `x.mha` from a header and data, and reads it. */
function readMha(overrides: Record<string, string | undefined>, data = voxels) {
  return readVolume(file('x.mha', concat(Buffer.from(header(overrides)), data)));
}

describe('values', () => {
  for (const [name, type] of Object.entries(MET)) {
    it.each(['True', 'False'])(`${name} are read exactly, big-endian %s`, async (msb) => {
      const values = [TYPES[type].low, TYPES[type].high, 1, 0];
      for (const key of ['BinaryDataByteOrderMSB', 'ElementByteOrderMSB']) {
        const data = rawBytes(values, type, msb === 'False');
        const read = await readMha({ ElementType: name, [key]: msb }, data);
        expect([...read.voxels]).toEqual(values.map(Math.fround));
        const fits = TYPES[type].low >= -32768 && TYPES[type].high <= 32767;
        expect(read.voxels).toBeInstanceOf(fits ? Int16Array : Float32Array);
      }
    });
  }

  it('passes over comments and blank lines, and takes a colon for =', async () => {
    const text = `# made by a tool\n\n  # DimSize = 9 9 9\n${header()}`.replace('NDims = ', '\nNDims: ');
    const path = file('comments.mha', concat(Buffer.from(text), voxels));
    expect([...(await readVolume(path)).voxels]).toEqual(HU);
    expect(Object.keys((await readScanHeader(path)).fields)[0]).toBe('ObjectType');
  });

  it('skips keys of other programs, such as ITK writes of a NIfTI header', async () => {
    const read = await readMha({ 'dim[1]': '512', 'odd key': 'a = b', ITK_FileNotes: '' });
    expect([...read.voxels]).toEqual(HU);
  });

  it('come before anything else that the file holds, compressed or not', async () => {
    const more = new Uint8Array(1 << 22);
    expect([...(await readMha({}, concat(voxels, more))).voxels]).toEqual(HU);
    for (const data of [concat(deflateSync(voxels), more), deflateSync(concat(voxels, more))])
      expect([...(await readMha({ CompressedData: 'True' }, data)).voxels]).toEqual(HU);
  });

  it('inflates compressed data, zlib as ITK writes it', async () => {
    const read = await readMha({ CompressedData: 'True', CompressedDataSize: '99' }, deflateSync(voxels));
    expect([...read.voxels]).toEqual(HU);
  });
});

describe('where the voxels lie', () => {
  it('finds them beside the header, after HeaderSize bytes, or at the end for −1', async () => {
    file('a.raw', concat(new Uint8Array(5), voxels));
    for (const HeaderSize of ['5', '-1']) {
      const path = file('a.mhd', header({ HeaderSize, ElementDataFile: 'a.raw' }));
      expect([...(await readVolume(path)).voxels]).toEqual(HU);
    }
  });

  it('accepts Windows line ends and spaces around keys', async () => {
    const text = header().replaceAll('\n', '\r\n').replaceAll(' = ', '=   ');
    const path = file('crlf.mha', concat(Buffer.from(text), voxels));
    expect([...(await readVolume(path)).voxels]).toEqual(HU);
  });

  it.each([
    '../a.raw',
    '../gone.raw',
    '/etc/passwd',
    '/dev/zero',
    '/gone',
    '..',
    '.',
    '..\\a.raw',
    'a\0.raw',
    '',
  ])('refuses a data file outside of the folder: %j', async (ElementDataFile) => {
    const path = file('escape.mhd', header({ ElementDataFile }));
    expect((await userErrorOf(readVolume(path))).message).toContain('in the folder of the header');
  });

  it('refuses pipes, devices and folders behind an innocent name, without waiting', async () => {
    execFileSync('mkfifo', [file('pipe.raw')]);
    symlinkSync('/dev/zero', file('zero.raw'));
    mkdirSync(file('folder.raw'));
    for (const [name, message] of [
      ['pipe.raw', 'not a regular file'],
      ['zero.raw', 'in the folder of the header'],
      ['folder.raw', 'not a regular file'],
    ] as const) {
      const path = file('device.mhd', header({ ElementDataFile: name }));
      expect((await userErrorOf(readVolume(path))).message).toContain(message);
    }
  });

  it('names the data file that is missing', async () => {
    for (const HeaderSize of ['0', '-1']) {
      const path = file('lonely.mhd', header({ HeaderSize, ElementDataFile: 'gone.raw' }));
      const { kind, facts } = await userErrorOf(readVolume(path));
      expect([kind, facts.where]).toEqual(['input', path]);
      expect(facts.what).toBe('a file that belongs to this scan is missing');
      expect(facts.got).toBe('no gone.raw');
    }
  });
});

describe('geometry', () => {
  const keys = {
    direction: ['TransformMatrix', 'Rotation', 'Orientation'],
    origin: ['Offset', 'Position', 'Origin'],
  };

  it.each([0, 1, 2])('reads alias %i, with the axes in the rows of the matrix', async (alias) => {
    const read = await readMha({
      [keys.direction[alias]!]: '0 1 0 0 0 1 1 0 0',
      [keys.origin[alias]!]: '-10.5 20 30',
      [alias === 0 ? 'ElementSpacing' : 'ElementSize']: '0.5 0.6 2',
    });
    // Voxel axis x runs along world y, y along z, z along x.
    expect(read.direction).toEqual([0, 0, 1, 1, 0, 0, 0, 1, 0]);
    expect(read.origin).toEqual([-10.5, 20, 30]);
    expect(read.spacing).toEqual([0.5, 0.6, 2]);
  });

  it('reads the flipped direction of LUNA16', async () => {
    const read = await readMha({ TransformMatrix: '-1 0 0 0 -1 0 0 0 1', Offset: '182.5 190 -313.75' });
    expect(read.direction).toEqual([-1, 0, 0, 0, -1, 0, 0, 0, 1]);
  });

  it('turns an axis of negative spacing round, so that voxels stay in place, as ITK does', async () => {
    const read = await readMha({ ElementSpacing: '0.7 0.8 -2.5', Offset: '-10 -20 -30' });
    expect(read).toMatchObject({ spacing: [0.7, 0.8, 2.5], origin: [-10, -20, -30] });
    expect(read.direction).toEqual([1, 0, 0, 0, 1, 0, 0, 0, -1]);
    const turned = await readMha({ ElementSize: '-1 2 -3', TransformMatrix: '0 1 0 -1 0 0 0 0 1' });
    expect(turned.spacing).toEqual([1, 2, 3]);
    expect(turned.direction).toEqual([0, -1, 0, -1, 0, 0, 0, 0, -1]);
  });

  it.each([
    ['twice unit length', '2 0 0 0 2 0 0 0 2'],
    ['one scaled axis', '1 0 0 0 1 0 0 0 1.01'],
    ['a sheared axis', '1 0 0 0.0998 0.995 0 0 0 1'],
    ['a zero axis', '1 0 0 0 1 0 0 0 0'],
    ['a singular one', '1 0 0 1 0 0 0 0 1'],
  ])('refuses a matrix of %s', async (_, TransformMatrix) => {
    expect((await userErrorOf(readMha({ TransformMatrix }))).message).toContain('scales or shears');
  });

  it('takes a matrix of few digits', async () => {
    const read = await readMha({ TransformMatrix: '0.707 0.707 0 -0.707 0.707 0 0 0 1' });
    expect(read.direction[0]).toBeCloseTo(Math.SQRT1_2, 12);
  });

  it('takes a fourth dimension of length 1, but no other number of dimensions', async () => {
    const flat = { NDims: '4', DimSize: '2 2 1 1', ElementSpacing: '1 2 3 9', Offset: '4 5 6 9' };
    const read = await readMha({ ...flat, TransformMatrix: '0 1 0 0 1 0 0 0 0 0 1 0 0 0 0 1' });
    expect(read).toMatchObject({ size: [2, 2, 1], spacing: [1, 2, 3], origin: [4, 5, 6] });
    expect(read.direction).toEqual([0, 1, 0, 1, 0, 0, 0, 0, 1]);
    await userErrorOf(readMha({ ...flat, DimSize: '2 1 1 2' }));
    expect((await userErrorOf(readMha({ NDims: '2', DimSize: '2 2' }))).message).toContain(
      'three-dimensional',
    );
  });
});

describe('broken files', () => {
  it.each<[string, Record<string, string | undefined>, string]>([
    ['channels', { ElementNumberOfChannels: '3' }, 'colour and vector'],
    ['text data', { BinaryData: 'False' }, 'text'],
    ['an unknown type', { ElementType: 'constructor' }, 'element type'],
    ['no size', { DimSize: undefined }, 'DimSize'],
    ['a size that is no number', { DimSize: '2 2 x' }, 'DimSize'],
    ['size 0', { DimSize: '2 0 1' }, 'size of the scan'],
    ['a fractional size', { DimSize: '2 2 0.5' }, 'size of the scan'],
    ['a huge size', { DimSize: '65000 65000 65000' }, 'size of the scan'],
    ['more than the file holds', { DimSize: '1000 1000 500' }, 'too short'],
    ['more than could be inflated', { DimSize: '1000 1000 500', CompressedData: 'True' }, 'too short'],
    ['spacing 0', { ElementSpacing: '1 0 1' }, 'spacing'],
    ['an infinite origin', { Offset: '0 1e999 0' }, 'Offset'],
    ['a line that is none', { 'DimSize 9 9 9\nModality': 'MET_MOD_CT' }, 'DimSize 9 9 9'],
    ['a broken HeaderSize', { HeaderSize: '-7' }, 'HeaderSize'],
  ])('with %s are refused', async (_, overrides, message) => {
    const error = await userErrorOf(readMha(overrides));
    expect(error.kind).toBe('input');
    expect(error.message).toContain(message);
  });

  it('of another kind are refused', async () => {
    for (const content of ['', 'hello\n', 'a = 1\n', new Uint8Array(1000)]) {
      const error = await userErrorOf(readVolume(file('other.mhd', content)));
      expect(error.message).toContain('not a MetaImage header');
    }
  });

  it('that inflate to less than they say are refused, and so are damaged ones', async () => {
    const read = (data: Uint8Array) => userErrorOf(readMha({ CompressedData: 'True' }, data));
    expect((await read(deflateSync(new Uint8Array(7)))).message).toContain('too short');
    expect((await read(deflateSync(voxels).subarray(0, 8))).message).toContain('corrupt or truncated');
    const wrongChecksum = deflateSync(voxels);
    wrongChecksum[wrongChecksum.length - 1]! ^= 1;
    expect((await read(wrongChecksum)).message).toContain('corrupt or truncated');
  });

  it('keep the text of their fields, of which errors quote 200 characters', async () => {
    const text = `\x1b[2J\u202e${'x'.repeat(300)}`;
    const error = await userErrorOf(readMha({ ElementType: text }));
    expect(error.facts.got).toBe(`ElementType = ${text}`.slice(0, 200));
    const path = file('esc.mha', concat(Buffer.from(header({ Comment: text })), voxels));
    expect((await readScanHeader(path)).fields.Comment).toBe(text);
  });
});

describe('readScanHeader', () => {
  it('tells type, grid and fields when the data are missing', async () => {
    const path = file('h.mhd', header({ ElementDataFile: 'missing.raw', Modality: 'MET_MOD_CT' }));
    const { format, elementType, grid, fields } = await readScanHeader(path);
    expect({ format, elementType, size: grid.size }).toEqual({
      format: 'MetaImage',
      elementType: 'int16',
      size: [2, 2, 1],
    });
    expect(fields).toMatchObject({ Modality: 'MET_MOD_CT', DimSize: '2 2 1' });
  });
});

describe('writeMetaImage', () => {
  it.each([
    ['w.mhd', false],
    ['w.mhd', true],
    ['w.mha', false],
    ['w.mha', true],
  ])('%s, compressed %s, is read back bit by bit', async (name, compressed) => {
    const path = file(name);
    for (const voxels of [phantom().voxels, Float32Array.from(phantom().voxels, (x) => x / 8)]) {
      const volume = { ...phantom(), voxels };
      await writeMetaImage(path, volume, { compressed });
      const read = await readVolume(path);
      expect(read.voxels).toEqual(voxels);
      expectSameGrid(read, volume, 12);
    }
  });

  it('writes masks as bytes, and leaves no temporary file', async () => {
    const path = file('mask.mhd');
    await writeMetaImage(path, { ...phantom([2, 2, 1]), voxels: Uint8Array.of(0, 1, 2, 255) });
    expect(readFileSync(file('mask.raw'))).toEqual(Buffer.of(0, 1, 2, 255));
    expect(readFileSync(path, 'utf8')).toContain('ElementType = MET_UCHAR\nElementDataFile = mask.raw\n');
    expect(readdirSync(dirname(path)).filter((entry) => entry.endsWith('.tmp'))).toEqual([]);
  });

  it('refuses other extensions and places that cannot be written', async () => {
    expect((await userErrorOf(writeMetaImage(file('x.nrrd'), phantom()))).kind).toBe('usage');
    mkdirSync(file('folder.mha'));
    expect((await userErrorOf(writeMetaImage(file('folder.mha'), phantom()))).kind).toBe('disk');
  });
});
