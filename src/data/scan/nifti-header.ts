import { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import type { ElementType } from './elements.js';
import { type Affine, gridOfAffine } from './nifti-orientation.js';
import { checkedGrid, checkOrthonormal, firstThree, isUsable, type StoredValues } from './scan.js';
import { unreadable } from './unreadable.js';
import type { Grid } from './volume.js';

type Header = NIFTI1 | NIFTI2;

/** NIfTI's codes for the types that a grey-level scan can have. */
export const DATA_TYPES: ReadonlyMap<number, ElementType> = new Map([
  [NIFTI1.TYPE_UINT8, 'uint8'],
  [NIFTI1.TYPE_INT16, 'int16'],
  [NIFTI1.TYPE_INT32, 'int32'],
  [NIFTI1.TYPE_FLOAT32, 'float32'],
  [NIFTI1.TYPE_FLOAT64, 'float64'],
  [NIFTI1.TYPE_INT8, 'int8'],
  [NIFTI1.TYPE_UINT16, 'uint16'],
  [NIFTI1.TYPE_UINT32, 'uint32'],
  [NIFTI1.TYPE_INT64, 'int64'],
  [NIFTI1.TYPE_UINT64, 'uint64'],
]);

/** Millimetres of the units that are not millimetres. */
const UNIT_MM: ReadonlyMap<number, number> = new Map([
  [NIFTI1.UNITS_METER, 1000],
  [NIFTI1.UNITS_MICRON, 0.001],
]);

interface NiftiHeader {
  readonly header: Header;
  /** Its 348 or 540 bytes. */
  readonly bytes: DataView<ArrayBuffer>;
}

/** Bytes that hold the fixed part of any header. */
export const HEADER_BYTES = 540;

/**
 * @param start the first two bytes, if there are so many
 * @throws UserError for an empty file, and when the name of a file says otherwise than its first bytes
 */
export function checkCompression(path: string, gzip: boolean, start: Uint8Array): void {
  if (start.length === 0) throw unreadable(path, 'the file is empty', { fix: 'copy it again' });
  const isGzip = start[0] === 0x1f && start[1] === 0x8b;
  if (isGzip === gzip) return;
  throw unreadable(path, `the file is ${isGzip ? '' : 'not '}compressed, contrary to its name`, {
    fix: `rename it to ${isGzip ? '.nii.gz' : '.nii'}`,
  });
}

/**
 * The fixed part of a header. The library gets exactly that part: it does not guard itself against
 * broken extensions, nor against a header that happens to look compressed.
 * @param start the first {@link HEADER_BYTES}, inflated; fewer when there are not as many
 * @param magic `n+` for a file that holds its voxels, `ni` for the header of a pair
 */
function parseHeader(path: string, start: Uint8Array, magic: 'n+' | 'ni'): NiftiHeader {
  const first = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const sizes = start.length >= 4 ? [first.getInt32(0, true), first.getInt32(0)] : [];
  const version = sizes.includes(348) ? 1 : 2;
  const size = version === 1 ? 348 : 540;
  if (!sizes.includes(size) || start.length < size) {
    throw unreadable(path, 'this is not a NIfTI header', {
      expected: 'NIfTI-1 (348 bytes) or NIfTI-2 (540 bytes)',
    });
  }
  const bytes = new DataView(new Uint8Array(start.subarray(0, size)).buffer);
  const header = version === 1 ? new NIFTI1() : new NIFTI2();
  header.readHeader(bytes.buffer);
  // Its only mark, as in nifti1_io.c, is that it has not that of NIfTI.
  if (magic === 'ni' && version === 1 && !/^n[i+]/.test(header.magic)) {
    throw unreadable(path, 'this is an Analyze 7.5 image, which does not record which side is left', {
      expected: 'NIfTI-1 or NIfTI-2',
      fix: 'convert it to .nii with the program that wrote it, or with one that lets you specify its orientation',
    });
  }
  if (!header.magic.startsWith(`${magic}${version}`)) {
    throw unreadable(path, 'the signature of the header is wrong', {
      got: header.magic,
      expected: `${magic}${version}`,
      fix: 'name a single file .nii, and a header with a separate .img file .hdr',
    });
  }
  return { header, bytes };
}

/** Everything that a header says of the voxels. @throws UserError when they are of no use */
export function parseNiftiHeader(
  path: string,
  start: Uint8Array,
  magic: 'n+' | 'ni',
): StoredValues & { readonly offset: number } {
  const parsed = parseHeader(path, start, magic);
  const { header } = parsed;
  const elementType = DATA_TYPES.get(header.datatypeCode);
  if (!elementType) {
    throw unreadable(path, 'voxels of this type are not supported', {
      // The library has the names in its NIfTI-1 class only.
      got: `datatype ${header.datatypeCode} (${new NIFTI1().getDatatypeCodeString(header.datatypeCode)})`,
      expected: 'integers of 8 to 64 bits, or floats of 32 or 64 bits',
    });
  }
  const grid = checkedGrid(path, claimedGrid(path, parsed));
  return {
    format: header instanceof NIFTI1 ? 'NIfTI-1' : 'NIfTI-2',
    elementType,
    grid,
    fields: fieldsOf(parsed),
    littleEndian: header.littleEndian,
    ...parseScaling(path, header),
    offset: dataOffset(path, parsed, magic === 'n+'),
  };
}

/** Where the voxels begin. In a single file that is after the header and its four extension flags, also if unset. */
function dataOffset(path: string, { header, bytes }: NiftiHeader, single: boolean): number {
  const first = single ? bytes.byteLength + 4 : 0;
  const offset = header.vox_offset === 0 ? first : header.vox_offset;
  if (!Number.isSafeInteger(offset) || offset < first) {
    throw unreadable(path, 'the offset of the voxels is invalid', {
      got: `vox_offset ${header.vox_offset}`,
      expected: `at least ${first}`,
    });
  }
  return offset;
}

/** Size, place and orientation. @throws UserError for 2-D and 4-D images, and sheared axes, as of an affine registration */
function claimedGrid(path: string, { header, bytes }: NiftiHeader): Grid {
  const [dimensions = 0, ...lengths] = header.dims;
  const extra = lengths.slice(3, Math.max(3, dimensions));
  if (dimensions < 3 || dimensions > 7 || extra.some((length) => length !== 1)) {
    throw unreadable(path, 'the image is not three-dimensional', {
      got: `dim ${header.dims.join(' ')}`,
      expected: '3 axes; any further axes of length 1',
      fix: 'save one 3D scan per file',
    });
  }
  const unit = UNIT_MM.get(header.xyzt_units & NIFTI1.SPATIAL_UNITS_MASK) ?? 1;
  const grids = affinesOf(header, bytes).map((affine) => {
    const inMm = affine.map((row) => row.map((value) => value * unit));
    return gridOfAffine(inMm, firstThree(lengths));
  });
  const grid = grids.find(isUsable);
  if (!grid) return grids.at(-1)!;
  const axes = [0, 1, 2].map((axis) => firstThree([0, 3, 6].map((row) => grid.direction[row + axis]!)));
  checkOrthonormal(path, 'sform', axes);
  return grid;
}

/**
 * sform, qform and plain spacing, which nifti1.h calls methods 3, 2 and 1, as far as they are set: most readers prefer
 * them in this order, and pass over one that is zero, not finite or singular.
 */
function affinesOf(header: Header, bytes: DataView): Affine[] {
  // The first is the handedness of the qform; the library takes negative lengths for 1.
  header.pixDims = header.pixDims.map((length, i) => (i === 0 ? length : Math.abs(length)));
  const [, x = 0, y = 0, z = 0] = header.pixDims;
  return [
    ...(header.sform_code > 0 ? [sformRows(header, bytes)] : []),
    ...(header.qform_code > 0 ? [header.getQformMat().slice(0, 3)] : []),
    [
      [x, 0, 0, 0],
      [0, y, 0, 0],
      [0, 0, z, 0],
    ],
  ];
}

/** Read here because the library overwrites them with the qform when its code is the higher one. */
function sformRows(header: Header, bytes: DataView): Affine {
  const value = (index: number) =>
    header instanceof NIFTI1
      ? bytes.getFloat32(280 + 4 * index, header.littleEndian)
      : bytes.getFloat64(400 + 8 * index, header.littleEndian);
  return [0, 1, 2].map((row) => [0, 1, 2, 3].map((column) => value(4 * row + column)));
}

/** HU = slope · stored + intercept; a slope of 0 (or NaN, as nibabel writes) means that none is set. */
function parseScaling(path: string, header: Header): { slope: number; intercept: number } {
  const { scl_slope: slope, scl_inter: intercept } = header;
  if (slope === 0 || !Number.isFinite(slope)) return { slope: 1, intercept: 0 };
  if (!Number.isFinite(intercept)) {
    throw unreadable(path, 'the intercept of the values is not a number', { got: `scl_inter ${intercept}` });
  }
  return { slope, intercept };
}

/** What the library works out by itself, partly only for the qform. */
const DERIVED = new Set(['quatern_a', 'qfac', 'extensionSize', 'extensionCode']);

/** The header's fields as text. */
function fieldsOf({ header, bytes }: NiftiHeader): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (DERIVED.has(name)) continue;
    if (name === 'dims' || name === 'pixDims') fields[name] = (value as number[]).join(' ');
    else if (typeof value === 'number' || typeof value === 'string') fields[name] = String(value);
  }
  sformRows(header, bytes).forEach((row, i) => {
    fields[`srow_${'xyz'[i]}`] = row.join(' ');
  });
  return fields;
}
