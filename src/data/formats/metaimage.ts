import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { UserError } from '../../errors.js';
import { AtomicFile, writeFileAtomic } from '../../files.js';
import type { LabelMap, Volume } from '../volume.js';
import { elementBytes, elementTypeOf } from './elements.js';
import { readBytes, regularFileSize } from './file.js';
import {
  ELEMENT_TYPES,
  type Fields,
  isTrue,
  parseElementType,
  parseFields,
  parseGrid,
} from './metaimage-header.js';
import { type Block, type StoredScan, voxelCount } from './scan.js';
import { unreadable } from './unreadable.js';

const MAX_HEADER_BYTES = 1 << 16;

/**
 * Reads the header of a MetaImage: `.mhd` with its data beside it, or `.mha`. World coordinates are LPS.
 * @throws UserError of kind `input` when it is broken or not a 3-D grey-level scan
 */
export async function openMetaImage(path: string): Promise<StoredScan> {
  const { fields, end } = parseFields(path, await readBytes(path, 0, MAX_HEADER_BYTES));
  const elementType = parseElementType(path, fields);
  const grid = parseGrid(path, fields);
  const bytes = voxelCount(grid.size) * elementBytes(elementType);
  const block = await locateData(path, fields, end, bytes);
  const littleEndian = !isTrue(fields.BinaryDataByteOrderMSB ?? fields.ElementByteOrderMSB);
  return { format: 'MetaImage', elementType, grid, fields, block, littleEndian, slope: 1, intercept: 0 };
}

/** Finds the voxels. @param bytes how many the grid needs, uncompressed */
async function locateData(path: string, fields: Fields, headerEnd: number, bytes: number): Promise<Block> {
  const name = fields.ElementDataFile!;
  const local = /^local$/i.test(name);
  if (/^list\b|%/i.test(name)) {
    throw unreadable(path, 'a scan in several data files is not supported', {
      got: `ElementDataFile = ${name}`,
      fix: 'save it as one .mha file',
    });
  }
  // A header from elsewhere must not make us read files outside of its folder.
  if (name !== basename(name) || /^\.{0,2}$|[\\\0]/.test(name)) {
    throw unreadable(path, 'the data file must lie beside the header', {
      got: `ElementDataFile = ${name}`,
      expected: 'a file name without a folder, or LOCAL',
    });
  }
  const dataPath = local ? path : join(dirname(path), name);
  const compressed = isTrue(fields.CompressedData);
  const headerSize = Number(fields.HeaderSize ?? 0);
  if (!Number.isSafeInteger(headerSize) || headerSize < -1 || (headerSize === -1 && compressed)) {
    throw unreadable(path, 'HeaderSize is broken', {
      got: `HeaderSize = ${fields.HeaderSize}`,
      expected: 'a number of bytes, or -1 for uncompressed data at the end of the file',
    });
  }
  if (headerSize === -1) {
    return { path: dataPath, start: Math.max(0, (await regularFileSize(dataPath)) - bytes) };
  }
  const start = headerSize + (local ? headerEnd : 0);
  return { path: dataPath, start, ...(compressed && { inflatedSkip: 0 }) };
}

/**
 * Writes `.mha`, or `.mhd` with its data beside it as `.raw` (`.zraw` when compressed). Each file appears
 * whole; the header comes last, so that it never names data that are not there.
 * @param options.compressed zlib; default false
 * @throws UserError of kind `usage` for another extension, `disk` when it cannot be written
 * @example
 * await writeMetaImage('scan.mha', await readVolume('scan.nii.gz'), { compressed: true });
 */
export async function writeMetaImage(
  path: string,
  image: Volume | LabelMap,
  options: { compressed?: boolean } = {},
): Promise<void> {
  const extension = /\.(mhd|mha)$/.exec(path)?.[0];
  if (!extension) {
    throw new UserError('usage', { what: 'a MetaImage is written as .mhd or .mha', where: path });
  }
  const { compressed = false } = options;
  const { buffer, byteOffset, byteLength } = image.voxels;
  const raw = new Uint8Array(buffer, byteOffset, byteLength);
  const data = compressed ? await promisify(deflate)(raw) : raw;
  const dataPath = path.slice(0, -extension.length) + (compressed ? '.zraw' : '.raw');
  const header = (dataFile: string) =>
    Buffer.from(headerText(image, dataFile, compressed ? data.length : undefined));
  if (extension === '.mha') {
    const file = new AtomicFile(path);
    file.write(header('LOCAL'));
    file.write(data);
    file.commit();
  } else {
    writeFileAtomic(dataPath, data);
    writeFileAtomic(path, header(basename(dataPath)));
  }
}

function headerText(image: Volume | LabelMap, dataFile: string, compressedBytes: number | undefined): string {
  const elementType = elementTypeOf(image.voxels);
  const { direction: d } = image;
  const lines = {
    ObjectType: 'Image',
    NDims: 3,
    BinaryData: 'True',
    BinaryDataByteOrderMSB: 'False',
    CompressedData: compressedBytes === undefined ? 'False' : 'True',
    ...(compressedBytes !== undefined && { CompressedDataSize: compressedBytes }),
    // Row i is the direction of voxel axis i: our columns.
    TransformMatrix: [d[0], d[3], d[6], d[1], d[4], d[7], d[2], d[5], d[8]].join(' '),
    Offset: image.origin.join(' '),
    CenterOfRotation: '0 0 0',
    AnatomicalOrientation: 'RAI',
    ElementSpacing: image.spacing.join(' '),
    DimSize: image.size.join(' '),
    ElementType: [...ELEMENT_TYPES].find(([, type]) => type === elementType)![0],
    ElementDataFile: dataFile,
  };
  return Object.entries(lines)
    .map(([key, value]) => `${key} = ${value}\n`)
    .join('');
}
