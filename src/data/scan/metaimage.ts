import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createDeflate } from 'node:zlib';
import { UserError } from '../../errors.js';
import { AtomicFile, writeTogether } from '../../files.js';
import { checkImage } from './check-image.js';
import { dataFileOf } from './data-file.js';
import { elementTypeOf } from './elements.js';
import { fileBlock, readBytes, regularFileSize } from './file.js';
import { dataFileNames } from './metaimage-files.js';
import {
  ELEMENT_TYPES,
  type Fields,
  isTrue,
  parseElementType,
  parseFields,
  parseGrid,
} from './metaimage-header.js';
import { pieces } from './pieces.js';
import { type Block, type StoredScan, voxelBytes } from './scan.js';
import { unreadable } from './unreadable.js';
import type { LabelMap, Volume } from './volume.js';

/** With the list of its data files. */
const MAX_HEADER_BYTES = 1 << 20;

/**
 * Reads the header of a MetaImage: `.mhd` with its data beside it, or `.mha`. World coordinates are LPS.
 * @throws UserError of kind `input` when it is broken or not a 3-D grey-level scan
 */
export async function openMetaImage(path: string): Promise<StoredScan> {
  const start = await readBytes(path, 0, MAX_HEADER_BYTES);
  const { fields, end } = parseFields(path, start);
  const elementType = parseElementType(path, fields);
  const grid = parseGrid(path, fields);
  const scan = { format: 'MetaImage', elementType, grid, fields };
  const littleEndian = !isTrue(fields.BinaryDataByteOrderMSB ?? fields.ElementByteOrderMSB);
  const names = /^local$/i.test(fields.ElementDataFile!)
    ? null
    : dataFileNames(path, fields, start.toString('utf8', end));
  const files = names?.map((name) => dataFileOf(path, () => name)) ?? [path];
  const bytes = voxelBytes(scan) / files.length;
  const blocks: Block[] = [];
  for (const file of files) blocks.push(await locateData(path, fields, file, names ? 0 : end, bytes));
  return {
    ...{ ...scan, littleEndian, slope: 1, intercept: 0 },
    ...{ files: [...new Set([path, ...files])], blocks },
  };
}

/** Where the voxels lie in a data file. @param first byte at which it begins  @param bytes of voxels, uncompressed */
async function locateData(
  header: string,
  fields: Fields,
  path: string,
  first: number,
  bytes: number,
): Promise<Block> {
  const compressed = isTrue(fields.CompressedData);
  const headerSize = Number(fields.HeaderSize ?? 0);
  if (!Number.isSafeInteger(headerSize) || headerSize < -1 || (headerSize === -1 && compressed)) {
    throw unreadable(header, 'HeaderSize is invalid', {
      got: `HeaderSize = ${fields.HeaderSize}`,
      expected: 'a number of bytes, or -1 for uncompressed data at the end of the file',
    });
  }
  if (headerSize === -1)
    return fileBlock({ path, start: Math.max(0, (await regularFileSize(path)) - bytes) });
  return fileBlock({ path, start: first + headerSize, ...(compressed && { inflatedSkip: 0 }) });
}

/**
 * Writes `.mha`, or `.mhd` with its data beside it as `.raw` (`.zraw` when compressed). Each file appears
 * whole; the header comes last, so that it never names data that are not there.
 * @param options.compressed zlib; default false
 * @throws UserError of kind `usage` for another extension or an image that contradicts itself, `disk` when it cannot be written
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
    throw new UserError('usage', { what: 'a MetaImage file must be named .mhd or .mha', where: path });
  }
  checkImage(path, image, 1);
  const { compressed = false } = options;
  const data = compressed ? await deflated(image.voxels) : image.voxels;
  const dataPath = path.slice(0, -extension.length) + (compressed ? '.zraw' : '.raw');
  const header = (dataFile: string) =>
    Buffer.from(headerText(image, dataFile, compressed ? data.byteLength : undefined));
  if (extension === '.mha') {
    const file = new AtomicFile(path);
    file.write(header('LOCAL'));
    file.write(data);
    file.commit();
  } else {
    writeTogether([
      [dataPath, data],
      [path, header(basename(dataPath))],
    ]);
  }
}

const deflated = (voxels: ArrayBufferView): Promise<Buffer> =>
  buffer(Readable.from(pieces(voxels)).pipe(createDeflate()));

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
