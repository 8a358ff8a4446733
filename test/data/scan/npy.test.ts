import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readScanHeader, readVolume } from '../../../src/data/scan/index.js';
import { npyHeader, parseNpy, readNpyHeader, writeNpy } from '../../../src/data/scan/npy.js';
import {
  concat,
  rawBytes,
  TYPE_NAMES,
  TYPES,
  type TypeName,
  temporaryFolder,
  userErrorOf,
} from './samples.js';

const file = temporaryFolder();
const CODES: Record<TypeName, string> = {
  int8: 'i1',
  uint8: 'u1',
  int16: 'i2',
  uint16: 'u2',
  int32: 'i4',
  uint32: 'u4',
  int64: 'i8',
  uint64: 'u8',
  float32: 'f4',
  float64: 'f8',
};

/** The array of a file. */
const readNpy = async (path: string) => parseNpy(path, readFileSync(path));

/** A `.npy` start as NumPy writes it, from the text of its dictionary. */
function start(dictionary: string, version = 1): Uint8Array {
  const text = Buffer.from(`${dictionary}\n`, 'latin1');
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  length.writeUIntLE(text.length, 0, length.length);
  return concat(Buffer.from(`\x93NUMPY${String.fromCharCode(version)}\0`, 'latin1'), length, text);
}

function dictionary(descr: string, shape: string, order = 'False'): string {
  return `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
}

describe('readNpy', () => {
  for (const version of [1, 2, 3]) {
    it.each(TYPE_NAMES)(`version ${version}, %s, is read in both byte orders`, async (type) => {
      const values = [TYPES[type].low, TYPES[type].high, 1, 0];
      for (const order of ['<', '>']) {
        const head = start(dictionary(order + CODES[type], '(2, 2)'), version);
        const { data, shape } = await readNpy(
          file('x.npy', concat(head, rawBytes(values, type, order === '<'))),
        );
        expect(Array.from<number | bigint, number>(data, Number)).toEqual(values);
        expect(data.BYTES_PER_ELEMENT).toBe(TYPES[type].bytes);
        expect(shape).toEqual([2, 2]);
      }
    });
  }

  it('reads booleans as 0 and 1, a vector, and a single number', async () => {
    const flags = await readNpy(file('b.npy', concat(start(dictionary('|b1', '(2,)')), Uint8Array.of(0, 1))));
    expect(flags).toMatchObject({ data: Uint8Array.of(0, 1), shape: [2] });
    const scalar = await readNpy(
      file('s.npy', concat(start(dictionary('<f8', '()')), rawBytes([2.5], 'float64'))),
    );
    expect(scalar).toMatchObject({ data: Float64Array.of(2.5), shape: [] });
  });

  it('reads half precision as float32', async () => {
    const bits = Uint8Array.of(0x00, 0x3c, 0x00, 0xc1, 0xff, 0x7b, 0x01, 0x00, 0x00, 0xfc);
    const half = await readNpy(file('h.npy', concat(start(dictionary('<f2', '(5,)')), bits)));
    expect(half.data).toEqual(Float32Array.of(1, -2.5, 65504, 2 ** -24, Number.NEGATIVE_INFINITY));
    expect(half.dtype).toBe('float16');
  });

  it('reads Fortran order, of any number of axes, as C order', async () => {
    const shape = [2, 3, 1, 4];
    // Element (i, j, 0, l) has the value 100 i + 10 j + l.
    const at = (i: number, j: number, l: number) => 100 * i + 10 * j + l;
    const c = [0, 1].flatMap((i) => [0, 1, 2].flatMap((j) => [0, 1, 2, 3].map((l) => at(i, j, l))));
    const f = [0, 1, 2, 3].flatMap((l) => [0, 1, 2].flatMap((j) => [0, 1].map((i) => at(i, j, l))));
    for (const type of ['int16', 'int64', 'float64'] as const) {
      const head = start(dictionary(`<${CODES[type]}`, `(${shape.join(', ')})`, 'True'));
      const read = await readNpy(file('f.npy', concat(head, rawBytes(f, type))));
      expect(Array.from<number | bigint, number>(read.data, Number)).toEqual(c);
      expect(read.shape).toEqual(shape);
    }
    const empty = await readNpy(file('e.npy', start(dictionary('<i2', '(0, 3)', 'True'))));
    expect(empty.data).toEqual(new Int16Array(0));
  });

  it.each<[string, Uint8Array | string, string]>([
    ['text', 'hello world, hello', 'not a NumPy array'],
    ['an empty file', '', 'not a NumPy array'],
    ['version 9', start(dictionary('<i2', '(1,)'), 9), 'not a NumPy array'],
    ['a header that is cut off', start(dictionary('<i2', '(1,)')).subarray(0, 40), 'truncated'],
    ['complex numbers', start(dictionary('<c8', '(1,)')), 'not supported'],
    ['objects, which NumPy would unpickle', start(dictionary('|O', '(1,)')), 'not supported'],
    ['records', start("{'descr': [('a', '<i2')], 'fortran_order': False, 'shape': (1,), }"), 'not supported'],
    ['no order', start("{'descr': '<i2', 'shape': (1,), }"), 'order'],
    ['no shape', start("{'descr': '<i2', 'fortran_order': False, }"), 'shape'],
    ['a negative shape', start(dictionary('<i2', '(-1,)')), 'shape'],
    ['an overflowing shape', start(dictionary('<i2', `(${'9'.repeat(400)}, 0)`)), 'shape'],
    ['more than the file holds', start(dictionary('<i2', '(4294967296, 4294967296)')), '0 bytes'],
  ])('refuses %s', async (_, content, message) => {
    const error = await userErrorOf(readNpy(file('bad.npy', content)));
    expect(error.kind).toBe('input');
    expect(error.message).toContain(message);
  });
});

describe('npyHeader', () => {
  it('is what NumPy writes, byte by byte', () => {
    // numpy.save of an int16 array of shape (2, 3, 4): 10 + 118 bytes.
    const text = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3, 4), }".padEnd(117);
    const expected = concat(Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'), Buffer.from(`${text}\n`));
    expect(Buffer.from(npyHeader('int16', [2, 3, 4]))).toEqual(Buffer.from(expected));
  });

  it('keeps the data aligned to 64 bytes for any shape', async () => {
    for (const shape of [[], [1], [28144, 64, 128, 128], new Array<number>(31).fill(1)]) {
      for (const type of TYPE_NAMES) {
        const bytes = npyHeader(type, shape);
        expect(bytes.length % 64).toBe(0);
        const header = await readNpyHeader(file('h.npy', bytes));
        expect(header).toMatchObject({
          dtype: type,
          shape,
          littleEndian: true,
          start: bytes.length,
        });
      }
    }
  });
});

describe('writeNpy', () => {
  it('writes a part of a larger buffer, and refuses a shape that does not fit', async () => {
    const part = Float32Array.of(9, 1.5, 2.5, 9).subarray(1, 3);
    writeNpy(file('w.npy'), part, [1, 2]);
    expect(await readNpy(file('w.npy'))).toMatchObject({ data: Float32Array.of(1.5, 2.5), shape: [1, 2] });
    const before = readFileSync(file('w.npy'));
    expect(() => writeNpy(file('w.npy'), part, [3])).toThrow(RangeError);
    expect(readFileSync(file('w.npy'))).toEqual(before);
  });
});

describe('.npy as a scan', () => {
  it('has axes z, y, x and 1 mm voxels', async () => {
    writeNpy(
      file('scan.npy'),
      Int16Array.from({ length: 24 }, (_, i) => i),
      [2, 3, 4],
    );
    const volume = await readVolume(file('scan.npy'));
    expect(volume).toMatchObject({ size: [4, 3, 2], spacing: [1, 1, 1], origin: [0, 0, 0] });
    expect(volume.direction).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1]);
    expect(volume.voxels[23]).toBe(23);
  });

  const HU = Int16Array.from({ length: 24 }, (_, i) => 100 * i - 1000);

  it('may be in Fortran order, compared with its transpose', async () => {
    writeNpy(file('c.npy'), HU, [2, 3, 4]);
    const stored = [0, 1, 2, 3].flatMap((x) =>
      [0, 1, 2].flatMap((y) => [0, 1].map((z) => HU[x + 4 * (y + 3 * z)]!)),
    );
    for (const [code, type] of [
      ['<i2', 'int16'],
      ['>f4', 'float32'],
    ] as const) {
      const head = start(dictionary(code, '(2, 3, 4)', 'True'));
      file('f.npy', concat(head, rawBytes(stored, type, code === '<i2')));
      expect(await readVolume(file('f.npy'))).toEqual(await readVolume(file('c.npy')));
    }
    expect((await readScanHeader(file('f.npy'))).fields.order).toBe('Fortran');
  });

  it('may be of half precision', async () => {
    const bits = Uint8Array.of(0x00, 0xbc, 0x00, 0x3e);
    file('half.npy', concat(start(dictionary('<f2', '(1, 1, 2)')), bits));
    expect((await readVolume(file('half.npy'))).voxels).toEqual(Float32Array.of(-1, 1.5));
    file('whole.npy', concat(start(dictionary('>f2', '(1, 1, 1)')), Uint8Array.of(0xe0, 0x00)));
    expect((await readVolume(file('whole.npy'))).voxels).toEqual(Int16Array.of(-512));
  });

  it.each([
    [
      [1, 2, 3, 4],
      [4, 3, 2],
    ],
    [
      [2, 3, 4, 1],
      [4, 3, 2],
    ],
    [
      [1, 1, 2, 3, 4, 1],
      [4, 3, 2],
    ],
    [
      [1, 4, 6],
      [6, 4, 1],
    ],
    [
      [4, 6, 1],
      [1, 6, 4],
    ],
    [
      [1, 1, 24, 1],
      [24, 1, 1],
    ],
    [
      [1, 4, 6, 1],
      [6, 4, 1],
    ],
  ])('of shape %j has %j voxels along x, y, z', async (shape, size) => {
    writeNpy(file('axes.npy'), HU, shape);
    expect(await readVolume(file('axes.npy'))).toMatchObject({ size, voxels: HU });
  });

  it.each([
    [[2, 3], '2, 3'],
    [[2, 1, 3, 1, 4], '2, 1, 3, 1, 4'],
    [[2, 2, 3, 2], '2, 2, 3, 2'],
    [[24], '24'],
  ])('of shape %j is none', async (shape, got) => {
    writeNpy(file('none.npy'), new Int16Array(shape.reduce((a, b) => a * b)), shape);
    expect((await userErrorOf(readVolume(file('none.npy')))).message).toContain(`shape (${got})`);
  });

  it('is refused when the file is shorter than its shape', async () => {
    const head = start(dictionary('<i2', '(2, 3, 4)', 'True'));
    file('short.npy', concat(head, new Uint8Array(47)));
    expect((await userErrorOf(readVolume(file('short.npy')))).message).toContain('too short');
  });
});
