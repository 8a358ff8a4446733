/** A small writer of DICOM files, laid out by hand after PS3.5 and apart from the code under test. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { deflateRawSync } from 'node:zlib';

type Value = string | number | readonly number[] | Uint8Array | readonly Elements[];
/** Elements by `GGGGEEEE`: representation and value. Null leaves one out. */
export type Elements = Readonly<Record<string, readonly [vr: string, value: Value] | null>>;

export interface Layout {
  readonly explicit: boolean;
  readonly littleEndian: boolean;
  /** Whether sequences and items end with delimiters. */
  readonly delimited: boolean;
}

export const EXPLICIT: Layout = { explicit: true, littleEndian: true, delimited: false };

const SYNTAXES: Readonly<Record<string, Layout>> = {
  '1.2.840.10008.1.2': { ...EXPLICIT, explicit: false },
  '1.2.840.10008.1.2.2': { ...EXPLICIT, littleEndian: false },
};

function uint(value: number, bytes: number, littleEndian: boolean): Buffer {
  const buffer = Buffer.alloc(bytes);
  if (littleEndian) buffer.writeUIntLE(value, 0, bytes);
  else buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

const tagBytes = (tag: string, le: boolean) =>
  Buffer.concat([tag.slice(0, 4), tag.slice(4)].map((half) => uint(Number.parseInt(half, 16), 2, le)));

function valueBytes(vr: string, value: Value, layout: Layout): Buffer {
  const { littleEndian: le } = layout;
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (typeof value === 'string') return Buffer.from(value, 'latin1');
  const numbers = (typeof value === 'number' ? [value] : value) as readonly number[];
  const size = vr === 'US' || vr === 'SS' ? 2 : vr === 'FD' ? 8 : 4;
  return Buffer.concat(
    numbers.map((number) => {
      if (size !== 8) return uint(number < 0 ? number + 2 ** (8 * size) : number, size, le);
      const buffer = Buffer.alloc(8);
      if (le) buffer.writeDoubleLE(number);
      else buffer.writeDoubleBE(number);
      return buffer;
    }),
  );
}

const LONG = ['OB', 'OW', 'OF', 'SQ', 'UN', 'UT'];
const UNDEFINED = 0xffffffff;

function elementBytes(tag: string, vr: string, value: Value, layout: Layout): Buffer {
  const { explicit, littleEndian: le, delimited } = layout;
  const content =
    vr === 'SQ'
      ? Buffer.concat((value as readonly Elements[]).map((item) => itemBytes(item, layout)))
      : valueBytes(vr, value, layout);
  const padded =
    content.length % 2 === 0
      ? content
      : Buffer.concat([content, Buffer.from(vr === 'UI' || vr === 'OB' ? '\0' : ' ')]);
  const length = vr === 'SQ' && delimited ? UNDEFINED : padded.length;
  const head = explicit
    ? [
        Buffer.from(vr),
        ...(LONG.includes(vr) ? [Buffer.alloc(2), uint(length, 4, le)] : [uint(length, 2, le)]),
      ]
    : [uint(length, 4, le)];
  const end = length === UNDEFINED ? [tagBytes('fffee0dd', le), Buffer.alloc(4)] : [];
  return Buffer.concat([tagBytes(tag, le), ...head, padded, ...end]);
}

function itemBytes(elements: Elements, layout: Layout): Buffer {
  const content = datasetBytes(elements, layout);
  const { littleEndian: le, delimited } = layout;
  const head = [tagBytes('fffee000', le), uint(delimited ? UNDEFINED : content.length, 4, le)];
  return Buffer.concat([...head, content, ...(delimited ? [tagBytes('fffee00d', le), Buffer.alloc(4)] : [])]);
}

export const datasetBytes = (elements: Elements, layout: Layout): Buffer =>
  Buffer.concat(
    Object.entries(elements)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([tag, element]) => (element ? [elementBytes(tag, element[0], element[1], layout)] : [])),
  );

/** Pixel data of fragments: an offset table, which is mostly empty, then one piece behind the other. */
export function fragments(pieces: readonly Uint8Array[], offsets: readonly number[] = []): Buffer {
  const item = (bytes: Uint8Array) => {
    const even = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)]);
    return Buffer.concat([tagBytes('fffee000', true), uint(even.length, 4, true), even]);
  };
  const table = Buffer.concat(offsets.map((offset) => uint(offset, 4, true)));
  return Buffer.concat([item(table), ...pieces.map(item), tagBytes('fffee0dd', true), Buffer.alloc(4)]);
}

export interface FileOptions {
  /** Transfer syntax; explicit little endian without it. */
  readonly syntax?: string;
  readonly delimited?: boolean;
  /** Compressed pixels instead of those among the elements. */
  readonly compressed?: Buffer;
  /** Leaves out the 128 bytes and DICM, and the file's own header. */
  readonly bare?: boolean;
}

/** A whole file. */
export function dicomBytes(elements: Elements, options: FileOptions = {}): Buffer {
  const { syntax = '1.2.840.10008.1.2.1', delimited = false, compressed, bare = false } = options;
  const layout = { ...(SYNTAXES[syntax] ?? EXPLICIT), delimited };
  const head = bare
    ? []
    : [Buffer.alloc(128), Buffer.from('DICM'), datasetBytes({ '00020010': ['UI', syntax] }, EXPLICIT)];
  const body = datasetBytes(compressed ? { ...elements, '7fe00010': null } : elements, layout);
  const pixels = compressed
    ? [tagBytes('7fe00010', true), Buffer.from('OB'), Buffer.alloc(2), uint(UNDEFINED, 4, true), compressed]
    : [];
  const dataset = Buffer.concat([body, ...pixels]);
  return Buffer.concat([...head, syntax.endsWith('.1.99') ? deflateRawSync(dataset) : dataset]);
}

/** What no output may show. */
export const PLANTED = [
  'Doe^Jane',
  'PATIENT4711',
  '19610203',
  'Mercy-Hospital',
  'DrWho',
  '1.2.3.99',
] as const;
const [NAME, ID, BIRTH, HOSPITAL, DOCTOR, ROOT] = PLANTED;

export const CT_CLASS = '1.2.840.10008.5.1.4.1.1.2';
export const SIZE = [4, 3] as const;

/** The stored values of slice `z`. */
export const slicePixels = (z: number): Int16Array =>
  Int16Array.from({ length: SIZE[0] * SIZE[1] }, (_, i) => 100 * z + 7 * i - 500);

export const bytesOf = ({
  buffer,
  byteOffset,
  byteLength,
}: Int16Array | Uint16Array | Uint8Array | Uint32Array) => new Uint8Array(buffer, byteOffset, byteLength);

/** Slice `z` of a CT of 4×3 pixels of 0.5×0.75 mm, 2 mm above the one before. */
export function ctSlice(z: number, more: Elements = {}): Elements {
  return {
    '00080008': ['CS', 'ORIGINAL\\PRIMARY\\AXIAL'],
    '00080016': ['UI', CT_CLASS],
    '00080018': ['UI', `${ROOT}.1.${z}`],
    '00080020': ['DA', BIRTH],
    '00080060': ['CS', 'CT'],
    '00080080': ['LO', HOSPITAL],
    '00080090': ['PN', DOCTOR],
    '0008103e': ['LO', `Thorax ${NAME}`],
    '00100010': ['PN', NAME],
    '00100020': ['LO', ID],
    '00100030': ['DA', BIRTH],
    '00180050': ['DS', '2'],
    '0020000d': ['UI', `${ROOT}.2`],
    '0020000e': ['UI', `${ROOT}.3`],
    '00200013': ['IS', String(99 - z)],
    '00200032': ['DS', `-10\\20\\${2 * z - 30}`],
    '00200037': ['DS', '1\\0\\0\\0\\1\\0'],
    '00204000': ['LT', `seen by ${DOCTOR}`],
    '00280002': ['US', 1],
    '00280004': ['CS', 'MONOCHROME2'],
    '00280010': ['US', SIZE[1]],
    '00280011': ['US', SIZE[0]],
    '00280030': ['DS', '0.75\\0.5'],
    '00280100': ['US', 16],
    '00280101': ['US', 16],
    '00280102': ['US', 15],
    '00280103': ['US', 1],
    '00281052': ['DS', '-24'],
    '00281053': ['DS', '1'],
    '7fe00010': ['OW', bytesOf(slicePixels(z))],
    ...more,
  };
}

/** Writes files below a folder, and returns it. */
export function writeFiles(folder: string, files: Readonly<Record<string, Uint8Array>>): string {
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
  return folder;
}

/** A series of `count` slices, in files whose names are in no order. */
export function ctSeries(
  count: number,
  more: (z: number) => Elements = () => ({}),
  options: FileOptions = {},
) {
  const files: Record<string, Uint8Array> = {};
  for (let z = 0; z < count; z++) files[`IM${(z * 7) % 10}${z}`] = dicomBytes(ctSlice(z, more(z)), options);
  return files;
}
