import { dataFileOf } from './data-file.js';
import { checkFileCount, listedNames, namesByPattern } from './data-file-names.js';
import { type ElementType, elementBytes } from './elements.js';
import { fileBlock, readBytes, regularFileSize } from './file.js';
import { type NrrdFields, parseNrrdGrid, parseNrrdText, parseNrrdType, parseSizes } from './nrrd-header.js';
import { type Block, type StoredScan, voxelBytes } from './scan.js';
import { textBlock } from './text-block.js';
import { unreadable } from './unreadable.js';

/** With the list of its data files; also of lines before the data. */
const MAX_HEADER_BYTES = 1 << 20;

/**
 * Reads the header of an NRRD: `.nrrd`, or `.nhdr` with its data beside it. World coordinates become LPS.
 * @throws UserError of kind `input` when it is broken or not a 3-D grey-level scan
 */
export async function openNrrd(path: string): Promise<StoredScan> {
  const start = await readBytes(path, 0, MAX_HEADER_BYTES);
  const { fields, shown, end } = parseNrrdText(path, start);
  const elementType = parseNrrdType(path, fields);
  const sizes = parseSizes(path, fields);
  const grid = parseNrrdGrid(path, fields, sizes);
  const scan = { format: 'NRRD', elementType, grid, fields: shown };
  const encoding = parseEncoding(path, fields);
  const littleEndian = parseEndian(path, fields, elementType, encoding);
  const names = dataFileNames(path, fields, sizes, start.toString('utf8', end));
  const files = names?.map((name) => dataFileOf(path, () => name)) ?? [path];
  const place = { encoding, elementType, bytes: voxelBytes(scan) / files.length };
  const blocks: Block[] = [];
  for (const file of files) blocks.push(await locateData(path, fields, file, names ? 0 : end, place));
  return {
    ...{ ...scan, littleEndian, slope: 1, intercept: 0 },
    ...{ files: [...new Set([path, ...files])], blocks },
  };
}

type Encoding = 'raw' | 'gzip' | 'text';

const ENCODINGS: ReadonlyMap<string, Encoding> = new Map(
  Object.entries({
    raw: 'raw',
    gz: 'gzip',
    gzip: 'gzip',
    txt: 'text',
    text: 'text',
    ascii: 'text',
  }),
);

function parseEncoding(path: string, fields: NrrdFields): Encoding {
  const given = fields.get('encoding');
  const encoding = ENCODINGS.get(given?.toLowerCase() ?? '');
  if (encoding) return encoding;
  throw unreadable(path, 'this encoding is not supported', {
    got: `encoding: ${given ?? ''}`,
    expected: 'raw, gzip or text',
    fix: 'save the scan again with the encoding gzip',
  });
}

function parseEndian(path: string, fields: NrrdFields, type: ElementType, encoding: Encoding): boolean {
  const endian = fields.get('endian')?.toLowerCase();
  // Text has no byte order: its numbers are made here.
  if (encoding === 'text' || endian === 'little' || elementBytes(type) === 1) return true;
  if (endian === 'big') return false;
  throw unreadable(path, 'the byte order of the voxels is missing or invalid', {
    got: `endian: ${endian ?? ''}`,
    expected: 'little or big',
  });
}

/**
 * The names of the files that hold the voxels: `data file` is one name, a pattern `slice%03d.raw first last step`, or
 * `LIST` with one name on each of the lines that follow; behind the latter two, how many axes are in one file.
 * @param rest of the header, behind the fields
 * @returns null when they are in the header's own file
 */
function dataFileNames(
  path: string,
  fields: NrrdFields,
  sizes: readonly number[],
  rest: string,
): string[] | null {
  const value = fields.get('datafile');
  if (value === undefined) {
    if (!/\.nhdr$/i.test(path)) return null;
    throw unreadable(path, 'the header does not name its data file', { expected: 'data file: …' });
  }
  const list = /^LIST(?:\s+(\d+))?$/.exec(value);
  const [, pattern, first, last, step, axesInPattern] =
    /^(.*%.*?)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+(\d+))?$/.exec(value) ?? [];
  if (!list && pattern === undefined) return [value];
  const axes = Number(list?.[1] ?? axesInPattern ?? sizes.length - 1);
  const names = list ? listedNames(rest) : namesByPattern(pattern!, numbersBetween(+first!, +last!, +step!));
  const needed = sizes.slice(axes).reduce((a, b) => a * b, 1);
  checkFileCount(path, Math.max(needed, names?.length ?? 0), 'save it as one .nrrd file');
  // As many axes as the scan has: each file holds a slab of the last one.
  const fits =
    axes === sizes.length ? sizes.at(-1)! % (names?.length || Number.NaN) === 0 : names?.length === needed;
  if (names && axes >= 1 && fits) return names;
  throw unreadable(path, 'the data files do not match the size of the scan', {
    got: `data file: ${value}: ${names ? `${names.length} files` : 'an invalid pattern'}`,
    expected: `${needed} files for sizes ${sizes.join(' ')}`,
  });
}

/** Both ends included; more than any scan has files stand for all that are too many. */
function numbersBetween(first: number, last: number, step: number): number[] {
  const count = Math.floor((last - first) / step) + 1;
  if (!(count >= 1 && Number.isFinite(count))) return [];
  return Array.from({ length: Math.min(count, 1 << 16) }, (_, i) => first + i * step);
}

/** Where the voxels lie in a data file. @param first byte at which it begins  @param bytes of voxels in it */
async function locateData(
  header: string,
  fields: NrrdFields,
  path: string,
  first: number,
  { encoding, elementType, bytes }: { encoding: Encoding; elementType: ElementType; bytes: number },
): Promise<Block> {
  const lines = skipOf(header, fields, 'line skip', 0);
  const skip = skipOf(header, fields, 'byte skip', encoding === 'raw' ? -1 : 0);
  if (skip === -1) return fileBlock({ path, start: Math.max(0, (await regularFileSize(path)) - bytes) });
  const start = lines === 0 ? first : await behindLines(path, first, lines);
  if (encoding === 'text') return textBlock(path, start + skip, elementType);
  return fileBlock({
    path,
    ...(encoding === 'gzip' ? { start, inflatedSkip: skip } : { start: start + skip }),
  });
}

function skipOf(path: string, fields: NrrdFields, name: string, least: number): number {
  const text = fields.get(name.replace(' ', '')) ?? '0';
  const skip = Number(text);
  if (Number.isSafeInteger(skip) && skip >= least) return skip;
  throw unreadable(path, `${name} is invalid`, {
    got: `${name}: ${text}`,
    expected: `a whole number${least < 0 ? ', or -1 for data at the end of the file' : ''}`,
  });
}

/** The byte behind a number of lines. */
async function behindLines(path: string, first: number, lines: number): Promise<number> {
  const text = await readBytes(path, first, MAX_HEADER_BYTES);
  let end = 0;
  for (let line = 0; line < lines; line++) {
    const newline = text.indexOf('\n', end);
    if (newline < 0)
      throw unreadable(path, 'the file has fewer lines than are to be skipped', {
        got: `line skip: ${lines}`,
        expected: `at most as many as its first ${MAX_HEADER_BYTES} bytes have`,
      });
    end = newline + 1;
  }
  return first + end;
}
