import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readScanHeader, readVolume, scanFiles } from '../../../src/data/scan/index.js';
import {
  concat,
  expectSameGrid,
  phantom,
  rawBytes,
  TYPE_NAMES,
  TYPES,
  type TypeName,
  temporaryFolder,
  userErrorOf,
} from './samples.js';

const file = temporaryFolder();
const HU = Int16Array.from({ length: 24 }, (_, i) => 37 * i - 400);
const voxels = rawBytes(HU, 'int16');
const text = [...HU].join(' ');

/** Fields of 3×2×4 int16; undefined leaves one out. */
function header(fields: Record<string, string | undefined> = {}): string {
  const all = { type: 'short', dimension: '3', sizes: '3 2 4', endian: 'little', encoding: 'raw', ...fields };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}\n`],
  );
  return `NRRD0004\n# by a tool\n${lines.join('')}`;
}
const attached = (fields: Record<string, string | undefined>, data: Uint8Array | string = voxels) =>
  readVolume(file('scan.nrrd', concat(Buffer.from(`${header(fields)}\n`), Buffer.from(data as string))));
const detached = (dataFile: string, fields: Record<string, string | undefined> = {}) =>
  readVolume(file('scan.nhdr', header({ ...fields, 'data file': dataFile })));

describe('voxels', () => {
  const NAMES: Record<TypeName, string[]> = {
    int8: ['signed char', 'int8'],
    uint8: ['uchar', 'unsigned char', 'uint8_t'],
    int16: ['short', 'short int', 'signed short', 'int16'],
    uint16: ['ushort', 'unsigned short', 'uint16'],
    int32: ['int', 'signed int', 'int32'],
    uint32: ['uint', 'unsigned int', 'uint32'],
    int64: ['longlong', 'long long', 'long long int', 'int64'],
    uint64: ['ulonglong', 'unsigned long long', 'uint64'],
    float32: ['float'],
    float64: ['double'],
  };

  it.each(TYPE_NAMES)('of type %s are read raw, as gzip and as text, in both byte orders', async (type) => {
    const { low } = TYPES[type];
    const values = HU.map((_, i) => Math.max(low, -20) + i);
    for (const name of NAMES[type])
      for (const endian of ['little', 'big']) {
        const raw = rawBytes(values, type, endian === 'little');
        expect((await attached({ type: name, endian }, raw)).voxels).toEqual(values);
        expect((await attached({ type: name, endian, encoding: 'gzip' }, gzipSync(raw))).voxels).toEqual(
          values,
        );
        const asText = values.join(endian === 'little' ? '\n' : ', ');
        expect((await attached({ type: name, endian: undefined, encoding: 'ascii' }, asText)).voxels).toEqual(
          values,
        );
      }
  });

  it('need no byte order where there is none', async () => {
    const bytes = Uint8Array.from(HU.keys());
    expect((await attached({ type: 'uchar', endian: undefined }, bytes)).voxels[5]).toBe(5);
    expect((await userErrorOf(attached({ endian: undefined }))).message).toContain('byte order');
  });

  it('are found behind lines and bytes', async () => {
    const behind = concat(Buffer.from('one\ntwo\n12345'), voxels);
    const skips = { 'line skip': '2', 'byte skip': '5' };
    expect((await attached(skips, behind)).voxels).toEqual(HU);
    file('behind.raw', behind);
    expect((await detached('behind.raw', { lineskip: '2', byteskip: '5' })).voxels).toEqual(HU);
    expect((await detached('behind.raw', { 'byte skip': '-1' })).voxels).toEqual(HU);
    const zipped = concat(Buffer.from('a line\n'), gzipSync(behind.subarray(8)));
    expect((await attached({ 'line skip': '1', 'byte skip': '5', encoding: 'gz' }, zipped)).voxels).toEqual(
      HU,
    );
    expect((await attached({ 'line skip': '1', encoding: 'text' }, `1 2 3\n${text}`)).voxels).toEqual(HU);
  });

  it('may be no numbers where the type has such values', async () => {
    const { voxels: read, nonFinite } = await attached(
      { type: 'float', encoding: 'text' },
      `nan -inf Inf ${'0.5 '.repeat(21)}`,
    );
    expect(nonFinite).toBe(3);
    expect([read[2], read[3]]).toEqual([-1024, 0.5]);
  });

  it.each<[string, Record<string, string | undefined>, string | Uint8Array]>([
    ['encoding is not supported', { encoding: 'bzip2' }, 'BZh9'],
    ['encoding is not supported', { encoding: 'hex' }, '0a0b'],
    ['type of the voxels', { type: 'block' }, ''],
    ['type of the voxels', { type: 'char' }, ''],
    ['too short', {}, voxels.subarray(1)],
    ['too short', { encoding: 'text' }, '1 2 3'],
    ['too short', { encoding: 'text' }, `${'1000 '.repeat(23)}`],
    ['too short', { sizes: '1000 1000 1000' }, voxels],
    ['too short', { sizes: '1000 1000 1000', encoding: 'text' }, text],
    ['not a whole number', { encoding: 'text' }, text.replace('-400', '0.5')],
    ['not a whole number', { encoding: 'text' }, text.replace('-400', 'nan')],
    ['not a number', { type: 'float', encoding: 'text' }, text.replace('-400', 'four')],
    ['corrupt or truncated', { encoding: 'gzip' }, voxels],
    ['byte skip is invalid', { 'byte skip': '-2' }, voxels],
    ['byte skip is invalid', { 'byte skip': '-1', encoding: 'gzip' }, voxels],
    ['line skip is invalid', { 'line skip': '-1' }, voxels],
    ['fewer lines', { 'line skip': '1000' }, voxels],
    ['sizes is missing or invalid', { sizes: '3 2' }, voxels],
    ['sizes is missing or invalid', { sizes: '3 0 4' }, voxels],
    ['size of the scan is invalid', { sizes: '100000 100000 100000' }, voxels],
  ])('are refused: %s', async (message, fields, data) => {
    expect((await userErrorOf(attached(fields, data))).message).toContain(message);
  });
});

describe('the grid', () => {
  const expected = phantom([3, 2, 4]);
  const [s, c] = [Math.sin(0.2), Math.cos(0.2)];
  const vector = (signs: readonly number[], values: readonly number[], scale = 1) =>
    `(${values.map((value, i) => value * signs[i]! * scale).join(',')})`;
  const fields = (space: string, signs: readonly number[], scale = 1) => ({
    space,
    'space directions': [
      vector(signs, [0.703125 * c, 0.703125 * s, 0], scale),
      vector(signs, [-0.75 * s, 0.75 * c, 0], scale),
      vector(signs, [0, 0, 2.5], scale),
    ].join(' '),
    'space origin': vector(signs, expected.origin, scale),
  });

  it.each([
    ['left-posterior-superior', [1, 1, 1]],
    ['LPS', [1, 1, 1]],
    ['right-anterior-superior', [-1, -1, 1]],
    ['Right-Anterior-Superior', [-1, -1, 1]],
    ['RAS', [-1, -1, 1]],
    ['left-anterior-superior', [1, -1, 1]],
    ['LAS', [1, -1, 1]],
    ['scanner-xyz', [1, 1, 1]],
  ])('of an oblique scan in %s becomes LPS', async (space, signs) => {
    expectSameGrid(await attached(fields(space, signs)), expected, 9);
  });

  it('is in millimetres, whatever the units', async () => {
    const units = { 'space units': '"cm" "cm" "cm"' };
    expectSameGrid(await attached({ ...fields('LPS', [1, 1, 1], 0.1), ...units }), expected, 9);
    const mm = { 'space units': '"mm" "mm" "mm"' };
    expectSameGrid(await attached({ ...fields('LPS', [1, 1, 1]), ...mm }), expected, 9);
  });

  it('has axes along the patient where only spacings are given, or nothing', async () => {
    const read = await attached({ spacings: '0.5 nan -2' });
    expect(read).toMatchObject({ spacing: [0.5, 1, 2], origin: [0, 0, 0] });
    expect(read.direction).toEqual([1, 0, 0, 0, 1, 0, 0, 0, -1]);
    expect((await attached({})).spacing).toEqual([1, 1, 1]);
    // As SimpleITK reads them.
    const mins = { spacings: '1 2 3', 'axis mins': '10 20 30' };
    expect((await attached(mins)).origin).toEqual([10.5, 21, 31.5]);
    expect((await attached({ ...mins, centers: 'node cell node' })).origin).toEqual([10, 21, 30]);
  });

  it('leaves out axes of length 1 that are not of space', async () => {
    const { 'space directions': directions, ...others } = fields('LPS', [1, 1, 1]);
    const vectors = { dimension: '4', sizes: '1 3 2 4', 'space directions': `none ${directions}` };
    expectSameGrid(await attached({ ...others, ...vectors }), expected, 9);
    const kinds = {
      dimension: '4',
      sizes: '3 2 4 1',
      kinds: 'domain domain domain list',
      spacings: '1 2 3 nan',
    };
    expect(await attached(kinds)).toMatchObject({ size: [3, 2, 4], spacing: [1, 2, 3] });
    expect(await attached({ dimension: '4', sizes: '3 2 4 1' })).toMatchObject({ size: [3, 2, 4] });
  });

  it.each<[string, Record<string, string>]>([
    ['three-dimensional', { dimension: '4', sizes: '3 2 2 2', kinds: 'vector domain domain domain' }],
    ['three-dimensional', { dimension: '4', sizes: '3 2 2 2' }],
    ['three-dimensional', { dimension: '2', sizes: '6 4' }],
    ['three-dimensional', { 'space directions': 'none (0,1,0) (0,0,1)' }],
    ['space directions is invalid', { 'space directions': '(1,0,0) (0,1,0)' }],
    ['space directions is invalid', { 'space directions': '(1,0) (0,1) (1,1)' }],
    ['shears the scan', { 'space directions': '(1,0,0) (0.2,1,0) (0,0,1)' }],
    ['linearly dependent', { 'space directions': '(1,0,0) (1,0,0) (0,0,1)' }],
    ['spacing is invalid', { 'space directions': '(1,0,0) (0,0,0) (0,0,1)' }],
    ['origin is not a valid position', { 'space origin': '(1,x,0)' }],
    ['space is not supported', { space: 'right-anterior-superior-time' }],
    ['space is not supported', { space: 'constructor' }],
  ])('is refused: %s', async (message, more) => {
    expect((await userErrorOf(attached(more))).message).toContain(message);
  });
});

describe('the header', () => {
  it('shows its fields, and none of the user’s keys', async () => {
    const path = file('shown.nrrd', `${header({ content: 'a scan' })}key:=Doe\n\n`);
    const { format, fields } = await readScanHeader(path);
    expect(format).toBe('NRRD');
    expect(fields).toMatchObject({ content: 'a scan', sizes: '3 2 4' });
    expect(JSON.stringify(fields)).not.toContain('Doe');
  });

  it('may have Windows line ends', async () => {
    const windows = concat(Buffer.from(`${header()}\n`.replaceAll('\n', '\r\n')), voxels);
    expect((await readVolume(file('windows.nrrd', windows))).voxels).toEqual(HU);
  });

  it.each([
    ['not an NRRD header', 'NRRDx\n'],
    ['not an NRRD header', ''],
    ['a line of the header is invalid', 'NRRD0004\nnonsense\n\n'],
    ['the type of the voxels is missing', 'NRRD0004\n'],
  ])('is refused: %s', async (message, content) => {
    expect((await userErrorOf(readVolume(file('bad.nrrd', content)))).message).toContain(message);
  });
});

describe('detached data', () => {
  mkdirSync(file('sub'));
  file('sub/a.raw', voxels);
  for (const z of [0, 1, 2, 3]) {
    const slice = voxels.subarray(12 * z, 12 * z + 12);
    file(`s${z}.raw`, slice);
    file(`z${z}.gz`, gzipSync(slice));
    file(`n${String(10 - 2 * z).padStart(3, '0')}.raw`, slice);
  }
  file('half1.raw', voxels.subarray(0, 24));
  file('half2.raw', voxels.subarray(24));

  it.each([
    'sub/a.raw',
    './sub/a.raw',
    's%d.raw 0 3 1',
    's%d.raw 0 3 1 2',
    'n%03d.raw 10 4 -2',
    'LIST\ns0.raw\ns1.raw\ns2.raw\ns3.raw\n',
    'LIST 2\ns0.raw\ns1.raw\ns2.raw\ns3.raw',
    'LIST 3\nhalf1.raw\nhalf2.raw\n',
    'LIST 3\nsub/a.raw\n',
  ])('is read: %j', async (dataFile) => {
    expect((await detached(dataFile)).voxels).toEqual(HU);
  });

  it('is read compressed, and named', async () => {
    expect((await detached('z%d.gz 0 3 1', { encoding: 'gzip' })).voxels).toEqual(HU);
    const files = (await scanFiles(file('scan.nhdr'))).map((path) => basename(path));
    expect(files).toEqual(['scan.nhdr', 'z0.gz', 'z1.gz', 'z2.gz', 'z3.gz']);
  });

  it.each([
    ['../a.raw', 'in the folder of the header'],
    ['/etc/passwd', 'in the folder of the header'],
    [`LIST\ns0.raw\ns1.raw\ns2.raw\n/etc/passwd\n`, 'in the folder of the header'],
    ['missing.raw', 'missing.raw'],
    ['s%d.raw 0 2 1', 'do not match'],
    ['s%d.raw 0 3 0', 'do not match'],
    ['s%d.raw 0 999999999 1', 'too many files'],
    ['s%s.raw 0 3 1', 'do not match'],
    ['LIST\ns0.raw\n', 'do not match'],
    ['LIST 3\ns0.raw\ns1.raw\ns2.raw\n', 'do not match'],
    ['LIST 0\ns0.raw\n', 'do not match'],
  ])('is refused: %j', async (dataFile, message) => {
    expect((await userErrorOf(detached(dataFile))).message).toContain(message);
  });

  it('must be named', async () => {
    const error = await userErrorOf(readVolume(file('none.nhdr', header())));
    expect(error.message).toContain('does not name its data file');
  });
});

const SHARED = join(import.meta.dirname, '../../../../shared/data');
describe.skipIf(!existsSync(join(SHARED, 'cip_ct64')))('files of other programs', () => {
  it('hold a chest CT, upright and turned by 20°, and its lungs', async () => {
    const [ct, turned, lungs] = await Promise.all(
      ['ct-64', 'ct-64-transformed', 'wholeLung-64'].map((name) =>
        readVolume(join(SHARED, 'cip_ct64', `${name}.nrrd`)),
      ),
    );
    expect(ct!.size).toEqual([64, 64, 79]);
    expect(turned!.voxels).toEqual(ct!.voxels);
    expect(turned!.direction[3]! / turned!.direction[0]!).toBeCloseTo(Math.tan((20 * Math.PI) / 180), 6);
    const inside = ct!.voxels.filter((_, i) => lungs!.voxels[i]! > 0);
    expect(Array.from(inside).reduce((a, b) => a + b, 0) / inside.length).toBeLessThan(-600);
  });

  it('hold a brain whose second axis runs to the front', async () => {
    const brain = await readVolume(join(SHARED, 'format_samples/pyradiomics/brain1_image.nrrd'));
    expect(brain.direction).toEqual([1, 0, 0, 0, -1, 0, 0, 0, 1]);
    expect(brain.origin[1]).toBeCloseTo(99.609375, 9);
  });
});
