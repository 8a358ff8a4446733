/** What an upload is: recognised by its content, and given the name that readers of scans go by. */
import { linkSync } from 'node:fs';
import { join } from 'node:path';
import { openDicomFile } from '../../data/scan/dicom/file.js';
import { scanPath } from '../../data/scan/dicom/scan-path.js';
import type { ScanExtension } from '../../data/scan/extensions.js';
import { inflateStart, readBytes } from '../../data/scan/file.js';
import { scanExtent } from '../../data/scan/index.js';
import { voxelCount } from '../../data/scan/scan.js';
import { UserError } from '../../errors.js';
import { unpackFiles } from './unpack.js';

/** What may be uploaded, for messages. */
const KINDS =
  'a scan as NIfTI (.nii, .nii.gz), MetaImage (.mha), NRRD (.nrrd), .npy, DICOM, or a zip of DICOM or of a header with its data files';

/** As many bytes tell what a file is. */
const START_BYTES = 1024;

const isNifti = (bytes: Buffer) =>
  bytes.length >= 348 && [348, 540].some((n) => bytes.readInt32LE(0) === n || bytes.readInt32BE(0) === n);

/** The extension that a scan would have as a file; undefined for DICOM and all else. */
async function extensionOf(path: string, start: Buffer): Promise<ScanExtension | undefined> {
  const text = start.toString('latin1');
  if (text.startsWith('\x1f\x8b'))
    return isNifti(await inflateStart(path, START_BYTES)) ? '.nii.gz' : undefined;
  if (text.startsWith('\x93NUMPY')) return '.npy';
  if (text.startsWith('NRRD')) return '.nrrd';
  if (isNifti(start)) return '.nii';
  return /^\s*(ObjectType|NDims|Comment|DimSize)\s*=/i.test(text) ? '.mha' : undefined;
}

const unknown = () =>
  new UserError('input', { what: 'this type of file is not a scan', where: 'the upload', expected: KINDS });

/**
 * Makes a scan of an upload: gives the file a second name, or unpacks the archive.
 * @param folder for what is made of it
 * @param series which of several DICOM series
 * @param onFile is called before each file of an archive, and may throw to end the work
 * @returns a path that `readVolume` takes
 * @throws UserError for anything that is no scan, or would take more space than allowed
 */
export async function openUpload(
  upload: string,
  folder: string,
  series: string | undefined,
  maxUnpackedBytes: number,
  onFile: () => void,
): Promise<string> {
  const named = (name: string) => {
    linkSync(upload, join(folder, name));
    return join(folder, name);
  };
  const start = await readBytes(upload, 0, START_BYTES);
  if (start.toString('latin1', 0, 2) === 'PK') {
    const unpacked = await unpackFiles(upload, join(folder, 'series'), maxUnpackedBytes, onFile);
    return series === undefined ? unpacked : scanPath(unpacked, series);
  }
  const extension = await extensionOf(upload, start);
  if (extension) return named(`scan${extension}`);
  if (await openDicomFile(upload)) return named('scan.dcm');
  throw unknown();
}

/** Bytes that a scan takes for each voxel while it is worked on: its values, a copy that is turned or normalised, and results. */
const BYTES_PER_VOXEL = 8;

/**
 * @throws UserError for a scan that unpacks to more bytes than allowed, or would take more memory than a worker has: before any voxel is
 *   read, by its header, beyond which nothing is inflated
 */
export async function checkScanFits(
  path: string,
  maxScanBytes: number,
  maxUnpackedBytes: number,
): Promise<void> {
  const { size, unpackedBytes } = await scanExtent(path);
  if (unpackedBytes > maxUnpackedBytes)
    throw new UserError('input', {
      ...{ what: 'the scan unpacks to too many bytes', where: 'the upload' },
      ...{ got: `${unpackedBytes}`, expected: `at most ${maxUnpackedBytes}` },
    });
  const bytes = BYTES_PER_VOXEL * voxelCount(size);
  if (bytes <= maxScanBytes) return;
  throw new UserError('input', {
    what: 'the scan is too large for this service',
    got: `${size.join('×')} voxels`,
    expected: `at most ${Math.floor(maxScanBytes / BYTES_PER_VOXEL)} voxels`,
  });
}
