import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { NIFTI1 } from 'nifti-reader-js';
import { checkInteger, UserError } from '../../errors.js';
import { AtomicFile } from '../../files.js';
import { checkImage } from './check-image.js';
import { dataFileOf } from './data-file.js';
import { type ElementType, elementBytes, elementTypeOf } from './elements.js';
import { fileBlock, inflateStart, readBytes } from './file.js';
import { headerOfPair } from './find.js';
import { checkCompression, DATA_TYPES, HEADER_BYTES, parseNiftiHeader } from './nifti-header.js';
import { affineOfGrid, quaternionOfGrid } from './nifti-orientation.js';
import { pieces } from './pieces.js';
import type { StoredScan } from './scan.js';
import type { Grid, LabelMap, Volume } from './volume.js';

/**
 * Reads the header of a NIfTI-1 or NIfTI-2 scan: `.nii`, `.nii.gz`, or either file of a `.hdr` + `.img` pair.
 * @throws UserError of kind `input` when it is broken or not a 3-D grey-level scan
 */
export async function openNifti(path: string): Promise<StoredScan> {
  const single = !/\.(hdr|img)$/i.test(path);
  const gzip = /\.gz$/i.test(path);
  const header = headerOfPair(path);
  checkCompression(header, gzip, await readBytes(header, 0, 2));
  const start = await (gzip ? inflateStart(header, HEADER_BYTES) : readBytes(header, 0, HEADER_BYTES));
  const { offset, ...scan } = parseNiftiHeader(header, start, single ? 'n+' : 'ni');
  const image = single ? header : dataFileOf(header, imageOfPair);
  const block = fileBlock({
    path: image,
    ...(gzip ? { start: 0, inflatedSkip: offset } : { start: offset }),
  });
  return { ...scan, files: single ? [header] : [header, image], blocks: [block] };
}

/** The name of the image beside a header. */
function imageOfPair(header: string): string {
  return basename(header).replace(/(\.hdr)?$/i, (extension) => (extension === '.HDR' ? '.IMG' : '.img'));
}

/**
 * Writes NIfTI-1: `.nii`, or `.nii.gz` compressed. sform and qform are the same and say "scanner anatomical".
 * @param channels values of each voxel, one volume after the other: the file is then [x, y, z, channels]
 * @throws UserError of kind `usage` for another extension, a length over 32,767 or an image that contradicts itself, `disk` when it cannot
 *   be written
 * @example
 * await writeNifti('scan.nii.gz', await readVolume('scan.mha'));
 */
export async function writeNifti(path: string, image: Volume | LabelMap, channels = 1): Promise<void> {
  if (!/\.nii(\.gz)?$/.test(path)) {
    throw new UserError('usage', { what: 'a NIfTI file must be named .nii or .nii.gz', where: path });
  }
  checkInteger('channels', channels, 1);
  checkImage(path, image, channels);
  const header = headerBytes(path, image, channels, elementTypeOf(image.voxels));
  const parts = [header, ...pieces(image.voxels)];
  const file = new AtomicFile(path);
  try {
    if (path.endsWith('.nii')) for (const part of parts) file.write(part);
    else {
      await pipeline(Readable.from(parts), createGzip(), file.stream());
    }
    file.commit();
  } finally {
    file.discard();
  }
}

function headerBytes(path: string, grid: Grid, channels: number, elementType: ElementType): Buffer {
  if (Math.max(...grid.size, channels) > 0x7fff) {
    throw new UserError('usage', {
      what: 'the scan is too large for NIfTI-1',
      where: path,
      got: grid.size.join('×'),
      expected: 'at most 32767 voxels along an axis',
      fix: 'write it as .mha',
    });
  }
  const { bcd, qfac } = quaternionOfGrid(grid);
  const affine = affineOfGrid(grid);
  const header = Object.assign(new NIFTI1(), {
    littleEndian: true,
    dims: [channels === 1 ? 3 : 4, ...grid.size, channels, 1, 1, 1],
    datatypeCode: [...DATA_TYPES].find(([, type]) => type === elementType)![0],
    numBitsPerVoxel: 8 * elementBytes(elementType),
    pixDims: [qfac, ...grid.spacing, 1, 1, 1, 1],
    vox_offset: 352,
    xyzt_units: NIFTI1.UNITS_MM,
    qform_code: NIFTI1.XFORM_SCANNER_ANAT,
    sform_code: NIFTI1.XFORM_SCANNER_ANAT,
    quatern_b: bcd[0],
    quatern_c: bcd[1],
    quatern_d: bcd[2],
    qoffset_x: affine[0]![3]!,
    qoffset_y: affine[1]![3]!,
    qoffset_z: affine[2]![3]!,
    affine,
    magic: 'n+1',
  });
  return Buffer.from(header.toArrayBuffer());
}
