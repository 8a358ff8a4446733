/** How the pixels of DICOM are stored. */
import { describe, expect, it, vi } from 'vitest';
import { readScanHeader, readVolume } from '../../../../src/data/scan/index.js';
import { temporaryFolder, userErrorOf } from '../samples.js';
import { rle } from './rle.js';
import {
  bytesOf,
  ctSeries,
  ctSlice,
  dicomBytes,
  type Elements,
  type FileOptions,
  fragments,
  SIZE,
  slicePixels,
  writeFiles,
} from './writer.js';

const file = temporaryFolder();
let folders = 0;
const read = (files: Record<string, Uint8Array>) => readVolume(writeFiles(file(`f${folders++}`), files));
const PIXELS = SIZE[0] * SIZE[1];

/** Three slices in HU. */
const HU = Int16Array.from([0, 1, 2].flatMap((z) => [...slicePixels(z)].map((value) => value - 24)));

describe('data sets', () => {
  it('are read when deflated with megabytes of frames behind the one that is read', async () => {
    const side = 1024;
    const words = new Int16Array(2 * side * side).map((_, i) => i % 1000);
    const frames = [0, 1].map(
      (z): Elements => ({ '00209113': ['SQ', [{ '00200032': ['DS', `0\\0\\${z}`] }]] }),
    );
    const image: Elements = {
      ...ctSlice(0, { '00200032': null, '00280010': ['US', side], '00280011': ['US', side] }),
      '00280008': ['IS', '2'],
      '52009230': ['SQ', frames],
      '7fe00010': ['OW', bytesOf(words)],
    };
    const deflated = dicomBytes(image, { syntax: '1.2.840.10008.1.2.1.99' });
    expect((await read({ deflated })).voxels).toEqual(words.map((value) => value - 24));
  });

  it.each<[string, FileOptions]>([
    ['explicit, little endian', {}],
    ['explicit, with delimiters', { delimited: true }],
    ['implicit', { syntax: '1.2.840.10008.1.2' }],
    ['implicit, with delimiters', { syntax: '1.2.840.10008.1.2', delimited: true }],
    ['deflated', { syntax: '1.2.840.10008.1.2.1.99' }],
    ['without a header of the file', { bare: true }],
    ['implicit, without a header of the file', { bare: true, syntax: '1.2.840.10008.1.2' }],
  ])('are read: %s', async (_, options) => {
    const nested = (depth: number): Elements =>
      depth === 0 ? { '00080100': ['SH', 'end'] } : { '00081140': ['SQ', [nested(depth - 1), {}]] };
    const more = {
      ...nested(6),
      '00091010': ['UN', new Uint8Array(9)],
      // Its length is two letters, like an explicit VR.
      '00091020': ['UN', new Uint8Array(Buffer.from('PN').readUInt16LE()).fill(1)],
      '00290010': ['LO', 'PRIVATE'],
    } as Elements;
    expect((await read(ctSeries(3, () => more, options))).voxels).toEqual(HU);
  });

  it('are read when big endian', async () => {
    const swapped = (z: number): Elements => ({
      '7fe00010': ['OW', Buffer.from(bytesOf(slicePixels(z))).swap16()],
    });
    for (const bare of [false, true])
      expect((await read(ctSeries(3, swapped, { syntax: '1.2.840.10008.1.2.2', bare }))).voxels).toEqual(HU);
    // Pixels of a byte lie in words, too.
    const bytes = Uint8Array.from({ length: PIXELS }, (_, i) => i);
    const small = (): Elements => ({
      '00280100': ['US', 8],
      '00280101': ['US', 8],
      '00280102': ['US', 7],
      '00280103': ['US', 0],
      '7fe00010': ['OW', Buffer.from(bytes).swap16()],
    });
    const { voxels } = await read(ctSeries(2, small, { syntax: '1.2.840.10008.1.2.2' }));
    expect([...voxels.subarray(0, PIXELS)]).toEqual([...bytes].map((value) => value - 24));
  });

  it('may have headers longer than what is read at first', async () => {
    const long = { '00091010': ['OB', new Uint8Array(200_000)] } as Elements;
    for (const syntax of ['1.2.840.10008.1.2.1', '1.2.840.10008.1.2.1.99'])
      expect((await read(ctSeries(3, () => long, { syntax }))).voxels).toEqual(HU);
  });

  /** Three slices with more elements before the patient's name. */
  const withBytes = (more: readonly Uint8Array[], elements: Elements = {}) =>
    Object.fromEntries(
      Object.entries(ctSeries(3, () => elements)).map(([name, bytes]) => {
        const at = Buffer.from(bytes).indexOf(Buffer.from([0x10, 0, 0x10, 0, ...Buffer.from('PN')]));
        return [name, Buffer.concat([bytes.subarray(0, at), ...more, bytes.subarray(at)])];
      }),
    );

  it.each(['??', '  ', '\0\0', 'ox', 'un'])('may have elements of the unknown VR %j', async (vr) => {
    const head = (element: number) => [9, 0, element, 0x10, ...Buffer.from(vr)];
    const short = (element: number, length: number) =>
      Buffer.from([...head(element), length & 0xff, length >> 8, ...new Uint8Array(length).fill(1)]);
    const long = (element: number, length: number) =>
      Buffer.from([
        ...head(element),
        0,
        0,
        length & 0xff,
        length >> 8,
        0,
        0,
        ...new Uint8Array(length).fill(1),
      ]);
    const sequence = long(2, 0).fill(0xff, 8);
    const items = Buffer.from('feff00e000000000feffdde000000000', 'hex');
    for (const unknown of [
      [short(1, 0)],
      [short(1, 7), short(2, 10), short(3, 40_000)],
      [long(1, 0)],
      [long(1, 10), long(2, 40_000)],
      [short(1, 10), long(2, 10)],
      [sequence, items],
    ]) {
      const nested: Elements = { '00081140': ['SQ', [{ '00091010': [vr, new Uint8Array(6)] }]] };
      expect((await read(withBytes(unknown, nested))).voxels).toEqual(HU);
    }
  });

  it('may have elements without a VR, or nothing but these', async () => {
    const length = Buffer.from('un\0\0');
    const omitted = [
      Buffer.from([9, 0, 1, 0x10, ...length, ...new Uint8Array(length.readUInt32LE()).fill(1)]),
      Buffer.from([9, 0, 2, 0x10, 4, 0, 0, 0, 1, 1, 1, 1]),
    ];
    expect((await read(withBytes(omitted))).voxels).toEqual(HU);
    const empty: Elements = { '00081140': ['SQ', [{ '00200010': ['SH', ''] }]], '00180060': ['DS', ''] };
    const implicit = ctSeries(3, () => empty, { bare: true, syntax: '1.2.840.10008.1.2' });
    const explicit = dicomBytes({});
    for (const [name, bytes] of Object.entries(implicit)) implicit[name] = Buffer.concat([explicit, bytes]);
    expect((await read(implicit)).voxels).toEqual(HU);
    // The length of these pixels has two bytes of zero where a VR would be. They are not looked through for an end.
    const cut = dicomBytes(
      ctSlice(0, {
        '00280010': ['US', 128],
        '00280011': ['US', 256],
        '7fe00010': ['OW', new Uint8Array(1 << 16)],
      }),
      { bare: true, syntax: '1.2.840.10008.1.2' },
    ).subarray(0, -10);
    const path = file(`cut${folders++}`, Buffer.concat([explicit, cut]));
    expect((await userErrorOf(readVolume(path))).message).toContain('too short');
  });

  it('are given up after megabytes without an image, which is said', async () => {
    const long = { '00091010': ['OB', new Uint8Array(9 << 20)] } as Elements;
    for (const syntax of ['1.2.840.10008.1.2.1', '1.2.840.10008.1.2.1.99']) {
      const path = file(`long${folders++}`, dicomBytes(ctSlice(0, long), { syntax }));
      expect((await userErrorOf(readVolume(path))).facts.got).toBe(
        'an object without an image in its first 8 MiB',
      );
    }
  });

  it('are called corrupt when they cannot be inflated', async () => {
    const bytes = dicomBytes(ctSlice(0), { syntax: '1.2.840.10008.1.2.1.99' });
    // A block of the reserved type.
    bytes[bytes.indexOf('1.2.1.99') + 8] = 7;
    const error = await userErrorOf(readVolume(file(`corrupt${folders++}`, bytes)));
    expect(error.facts.got).toContain('its deflated data are corrupt');
  });
});

it('documents are told apart without being read to their end', async () => {
  const pdf: Elements = {
    '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.104.1'],
    '00420011': ['OB', new Uint8Array(20 << 20)],
  };
  const path = file('document', dicomBytes(pdf));
  const allocate = vi.spyOn(Buffer, 'allocUnsafeSlow');
  expect((await userErrorOf(readVolume(path))).facts.got).toBe('a document');
  expect(Math.max(...allocate.mock.calls.map(([bytes]) => bytes))).toBeLessThanOrEqual(8 << 20);
  allocate.mockRestore();
});

describe('values', () => {
  /** Two slices whose words are as given. */
  const stored = (words: Uint8Array | Uint16Array | Int16Array | Uint32Array, more: Elements) =>
    read(ctSeries(2, () => ({ '00281052': ['DS', '0'], '7fe00010': ['OW', bytesOf(words)], ...more })));
  const bits = (allocated: number, stored: number, high = stored - 1, signed = 0): Elements => ({
    '00280100': ['US', allocated],
    '00280101': ['US', stored],
    '00280102': ['US', high],
    '00280103': ['US', signed],
  });
  const twice = (values: number[]) => Int16Array.from([...values, ...values]);
  const ramp = Array.from({ length: PIXELS }, (_, i) => i);

  it('have the sign and the bits that are stored', async () => {
    const unsigned = ramp.map((i) => 4095 - i);
    expect((await stored(Uint16Array.from(unsigned), bits(16, 12))).voxels).toEqual(twice(unsigned));
    const signed = ramp.map((i) => i - 6);
    const twelve = Uint16Array.from(signed, (value) => value & 0xfff);
    expect((await stored(twelve, bits(16, 12, 11, 1))).voxels).toEqual(twice(signed));
    expect((await stored(Uint8Array.from(ramp), bits(8, 8))).voxels).toEqual(twice(ramp));
    const withoutHighBit: Elements = { ...bits(16, 12, 11, 1), '00280102': null };
    expect((await stored(twelve, withoutHighBit)).voxels).toEqual(twice(signed));
    const words = Uint32Array.from(signed, (value) => value >>> 0);
    expect((await stored(words, bits(32, 32, 31, 1))).voxels).toEqual(twice(signed));
    const large = await stored(
      Uint16Array.from(ramp, (i) => 65_000 + i),
      bits(16, 16),
    );
    expect([...large.voxels.subarray(0, 2)]).toEqual([65_000, 65_001]);
  });

  it('are free of overlays in the other bits, wherever they are', async () => {
    const above = Uint16Array.from(ramp, (i) => i | 0xf000);
    expect((await stored(above, bits(16, 12))).voxels).toEqual(twice(ramp));
    const below = Uint16Array.from(ramp, (i) => (i << 4) | 0xf);
    expect((await stored(below, bits(16, 12, 15))).voxels).toEqual(twice(ramp));
  });

  it('have the slope and intercept of their own slice', async () => {
    const slopes = [1, 2, 0.5];
    const volume = await read(
      ctSeries(3, (z) => ({ '00281053': ['DS', String(slopes[z])], '00281052': ['DS', String(-z)] })),
    );
    for (const [z, slope] of slopes.entries())
      expect(volume.voxels[z * PIXELS + 3]).toBe(slicePixels(z)[3]! * slope - z);
    expect(volume.voxels).toBeInstanceOf(Float32Array);
    expect((await readScanHeader(file(`f${folders - 1}`))).fields.rescaleSlope).toBe('1, 2, 0.5');
  });

  it('of pixels with different types in one series are put together', async () => {
    const volume = await read(
      ctSeries(2, (z) =>
        z === 0
          ? {}
          : { ...bits(16, 16), '7fe00010': ['OW', bytesOf(Uint16Array.from(ramp, (i) => 40_000 + i))] },
      ),
    );
    expect([volume.voxels[0], volume.voxels[PIXELS]]).toEqual([-524, 39_976]);
  });

  it('that pad are air where they would look like tissue, and stay where they do not', async () => {
    const padded = Int16Array.from(ramp, (i) => (i < 2 ? 3000 : i < 4 ? 2990 : i));
    const padding: Elements = { '00280120': ['SS', 3000], '00280121': ['SS', 2990] };
    expect([...(await stored(padded, padding)).voxels.subarray(0, 5)]).toEqual([
      -1024, -1024, -1024, -1024, 4,
    ]);
    const low = Int16Array.from(ramp, (i) => (i < 2 ? -2000 : i));
    expect((await stored(low, { '00280120': ['SS', -2000] })).voxels[0]).toBe(-2000);
    // In one corner only, and written as an unsigned number.
    for (const corner of [0, SIZE[0] - 1, PIXELS - SIZE[0], PIXELS - 1]) {
      const cornered = Int16Array.from(ramp, (i) => (i === corner ? -1 : i));
      expect((await stored(cornered, { '00280120': ['US', 65_535] })).voxels[corner]).toBe(-1024);
    }
    // What counts is HU, not what is stored.
    const offset: Elements = { '00280120': ['SS', 10], '00281052': ['DS', '-1024'] };
    expect(
      (
        await stored(
          Int16Array.from(ramp, () => 10),
          offset,
        )
      ).voxels[0],
    ).toBe(-1014);
    // The padding of a header that is wrong is found within the image only.
    const tissue = Int16Array.from(ramp, (i) => (i === 5 ? 0 : -1000));
    expect((await stored(tissue, { '00280120': ['SS', 0] })).voxels[5]).toBe(0);
    // Unsigned pixels hold no air without an intercept.
    const unsigned = Uint16Array.from(ramp, (i) => (i < 2 ? 65_535 : i));
    const asUnsigned: Elements = { ...bits(16, 16), '00280120': ['US', 65_535] };
    expect([...(await stored(unsigned, asUnsigned)).voxels.subarray(0, 3)]).toEqual([0, 0, 2]);
    const mr: Elements = { ...asUnsigned, '00080060': ['CS', 'MR'] };
    expect((await stored(unsigned, mr)).voxels[0]).toBe(65_535);
  });

  it.each<[string, Elements]>([
    ['bits per pixel', { '00280100': ['US', 12] }],
    ['impossible bits', { '00280101': ['US', 17] }],
    ['impossible bits', { '00280102': ['US', 3] }],
    ['rescale slope', { '00281053': ['DS', '0'] }],
    ['rescale slope', { '00281053': ['DS', 'two'] }],
    ['without a size', { '00280010': ['US', 0] }],
    ['without a pixel spacing', { '00280030': ['DS', '0\\1'] }],
    ['without a pixel spacing', { '00280030': null }],
    ['without a position', { '00200032': null }],
    ['without a position', { '00200037': ['DS', '1\\0\\0\\0\\1'] }],
    ['without an orientation', { '00200037': ['DS', '0\\0\\0\\0\\0\\0'] }],
    ['a colour image', { '00280002': ['US', 3] }],
    ['a localiser', { '00080008': ['CS', 'ORIGINAL\\PRIMARY\\LOCALIZER'] }],
    ['a secondary capture', { '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.7'] }],
    ['a dose report', { '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.88.67'] }],
    ['an RTSTRUCT', { '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.481.3'] }],
    ['a surface segmentation', { '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.66.5'] }],
    ['a parametric map', { '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.30'] }],
    [
      'floating-point numbers',
      {
        '00280100': ['US', 32],
        '00280101': null,
        '00280102': null,
        '7fe00008': ['OF', new Uint8Array(4 * PIXELS)],
        '7fe00010': null,
      },
    ],
    ['a lookup table', { '00283000': ['SQ', [{ '00283002': ['US', [4, 0, 16]] }]] }],
    ['without an image', { '7fe00010': null }],
  ])('are refused: %s', async (message, more) => {
    const path = file(`bad${folders++}`, dicomBytes(ctSlice(0, more)));
    expect((await userErrorOf(readVolume(path))).message).toContain(message);
  });

  it('are not in the directory of a medium: it leads to them', async () => {
    const record: Elements = { '00041430': ['CS', 'IMAGE'], '00041500': ['CS', 'DICOM\\IM1'] };
    const directory = dicomBytes({ '00041130': ['CS', 'DISC'], '00041220': ['SQ', [record]] });
    const files = { ...ctSeries(3), DICOMDIR: directory };
    expect((await read(files)).voxels).toEqual(HU);
    const error = await userErrorOf(readVolume(file(`f${folders - 1}/DICOMDIR`)));
    expect(error.facts).toMatchObject({
      got: 'a DICOMDIR, the directory of a medium',
      fix: 'give the folder that it is in',
    });
  });

  it('are refused when there are fewer than promised', async () => {
    const files = ctSeries(3);
    files.IM42 = dicomBytes(ctSlice(2, { '7fe00010': ['OW', new Uint8Array(2 * PIXELS - 2)] }));
    const error = await userErrorOf(read(files));
    expect(error.message).toMatch(/IM42.*too short/);
  });

  it('are refused when what they lack would be read from the element behind them', async () => {
    const short: Elements = {
      '7fe00010': ['OW', new Uint8Array(2 * PIXELS - 2)],
      '7fe10010': ['OB', new Uint8Array(100)],
    };
    for (const syntax of ['1.2.840.10008.1.2.1', '1.2.840.10008.1.2.1.99']) {
      const error = await userErrorOf(read(ctSeries(3, () => short, { syntax })));
      expect(error.facts).toMatchObject({ got: '22 bytes', expected: '24 bytes' });
      expect(error.message).toContain('the pixel data is too short');
    }
  });

  it('are refused in fragments, contrary to the transfer syntax', async () => {
    const compressed = fragments([bytesOf(slicePixels(0))]);
    const error = await userErrorOf(
      read({ a: dicomBytes(ctSlice(0), { compressed }), b: dicomBytes(ctSlice(1)) }),
    );
    expect(error.message).toMatch(/in fragments[\s\S]*undefined length/);
  });

  it('may be of an odd number of bytes, with one more that pads them', async () => {
    const bytes = Uint8Array.from({ length: 9 }, (_, i) => i);
    const odd: Elements = {
      ...bits(8, 8),
      '00280010': ['US', 3],
      '00280011': ['US', 3],
      '7fe00010': ['OB', bytes],
    };
    expect([...(await read(ctSeries(2, () => odd))).voxels.subarray(9)]).toEqual(
      [...bytes].map((value) => value - 24),
    );
  });
});

describe('compressed pixels', () => {
  const syntax = '1.2.840.10008.1.2.5';

  it('are read as RLE, in one fragment or several', async () => {
    const files: Record<string, Uint8Array> = {};
    for (const z of [0, 1, 2]) {
      const encoded = rle(slicePixels(z));
      const pieces = z === 1 ? [encoded.subarray(0, 50), encoded.subarray(50)] : [encoded];
      files[`${z}`] = dicomBytes(ctSlice(z), { syntax, compressed: fragments(pieces) });
    }
    expect((await read(files)).voxels).toEqual(HU);
  });

  it.each([
    ['broken', rle(slicePixels(0)).subarray(0, 70)],
    ['of another kind', Buffer.alloc(100, 1)],
    ['empty', Buffer.alloc(0)],
  ])('are refused: %s', async (_, encoded) => {
    const compressed = fragments(encoded.length === 0 ? [] : [encoded]);
    const path = file(`rle${folders++}`, dicomBytes(ctSlice(0), { syntax, compressed }));
    expect((await userErrorOf(readVolume(path))).message).toMatch(/cannot be decoded|too short/);
  });

  it('of retired or unknown kinds are refused by name', async () => {
    for (const uid of ['1.2.840.10008.1.2.4.53', '1.2.840.10008.1.2.4.100', '1.2.3']) {
      const path = file(
        `old${folders++}`,
        dicomBytes(ctSlice(0), { syntax: uid, compressed: fragments([]) }),
      );
      const { facts } = await userErrorOf(readVolume(path));
      expect(facts.got).toContain(uid);
      expect(facts.fix).toContain('decompress it with another program');
    }
    const unnamed = dicomBytes(ctSlice(0, { '00011010': ['OB', new Uint8Array(9)] }), { syntax: '' });
    expect((await userErrorOf(readVolume(file(`old${folders++}`, unnamed)))).facts.got).toBe(
      'an image whose transfer syntax the file does not name',
    );
  });

  it.each(['50', '51', '57', '70', '80', '90', '201'])(
    'that are no image are refused: 1.2.840.10008.1.2.4.%s',
    async (end) => {
      const options = {
        syntax: `1.2.840.10008.1.2.4.${end}`,
        compressed: fragments([Buffer.from('no image')]),
      };
      const path = file(`none${folders++}`, dicomBytes(ctSlice(0), options));
      expect((await userErrorOf(readVolume(path))).message).toContain('cannot be decoded');
    },
  );
});
