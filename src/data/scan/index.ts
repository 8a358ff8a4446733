import { dirname, relative } from 'node:path';
import { UserError } from '../../errors.js';
import { isFolder } from '../../files.js';
import { openDicomFile } from './dicom/file.js';
import { openDicom } from './dicom/open.js';
import { parseScanPath } from './dicom/scan-path.js';
import { type ScanExtension, scanExtension } from './extensions.js';
import { notAScan } from './find.js';
import { openMetaImage } from './metaimage.js';
import { openNifti } from './nifti.js';
import { inCOrder, openNpy } from './npy.js';
import { openNrrd } from './nrrd.js';
import { type ScanHeader, type StoredScan, voxelBytes } from './scan.js';
import { unreadable } from './unreadable.js';
import type { Volume, XYZ } from './volume.js';
import { VoxelBuilder } from './voxel-builder.js';

export { SCAN_EXTENSIONS } from './extensions.js';
export { type FindOptions, findScans } from './find.js';
export type { ScanHeader } from './scan.js';

/** One row a format: a new one needs a function that finds out where and how its voxels are stored. */
const OPENERS: Readonly<Record<ScanExtension, (path: string) => Promise<StoredScan>>> = {
  '.mhd': openMetaImage,
  '.mha': openMetaImage,
  '.nii': openNifti,
  '.nii.gz': openNifti,
  '.hdr': openNifti,
  '.img': openNifti,
  '.nrrd': openNrrd,
  '.nhdr': openNrrd,
  '.npy': openNpy,
};

/**
 * Reads a scan of any supported format, chosen by the extension; any other file is DICOM by its content, and stands
 * for the series that it is of, as does a folder with one series.
 * @returns HU on an LPS grid, axes as stored (see `orientLPS`); `nonFinite` counts voxels that were no numbers,
 *   `beyondInt16` those whose HU do not fit int16, and `resampled` says how a tilted gantry or uneven spacing was mended
 * @throws UserError of kind `input` when the file is broken, not what its extension says, or not a 3-D scan,
 *   of kind `disk` when it cannot be read
 * @example
 * const volume = orientLPS(await readVolume('scan.nii.gz'));
 */
export async function readVolume(path: string): Promise<Volume> {
  const scan = await openScan(path);
  const bytes = voxelBytes(scan) / scan.blocks.length;
  for (const block of scan.blocks) await block.check(bytes).catch(namingHeader(path));
  const builder = new VoxelBuilder(scan.blocks[0]!.path, scan);
  try {
    for (const block of scan.blocks) {
      for await (const piece of block.read(bytes)) builder.write(piece, block.rescale);
    }
  } finally {
    scan.close?.();
  }
  const volume = builder.finish();
  if (scan.resampled) return { ...scan.resampled.apply(volume), resampled: scan.resampled.what };
  if (!scan.fortranOrder) return volume;
  const [x, y, z] = volume.size;
  return { ...volume, voxels: inCOrder(volume.voxels, [z, y, x]) };
}

/** Whether a path is a scan, by its ending, by how it names a series, or as DICOM. @throws UserError when it cannot be read */
export const isScan = async (path: string): Promise<boolean> =>
  scanExtension(path) !== undefined ||
  parseScanPath(path) !== null ||
  isFolder(path) ||
  (await openDicomFile(path)) !== null;

/** All files that a scan is read from, the one that it goes by first. @throws UserError as {@link readVolume} */
export const scanFiles = async (path: string): Promise<readonly string[]> => (await openScan(path)).files;

/**
 * Reads what the header of a scan says, without the voxels.
 * @throws UserError as {@link readVolume}
 * @example
 * const { format, grid } = await readScanHeader('scan.nii.gz');
 */
export async function readScanHeader(path: string): Promise<ScanHeader> {
  const { format, elementType, grid, fields, resampled } = await openScan(path);
  return { format, elementType, grid: resampled?.grid ?? grid, fields };
}

/**
 * How large a scan is, by its header: its voxels, and the bytes that reading it unpacks, which are those of its voxels and of what compressed
 * streams have before them.
 * @throws UserError as {@link readVolume}
 */
export async function scanExtent(path: string): Promise<{ size: XYZ; unpackedBytes: number }> {
  const scan = await openScan(path);
  return {
    size: (scan.resampled?.grid ?? scan.grid).size,
    unpackedBytes: scan.blocks.reduce(
      (bytes, { skippedBytes = 0 }) => bytes + skippedBytes,
      voxelBytes(scan),
    ),
  };
}

async function openScan(path: string): Promise<StoredScan> {
  const extension = scanExtension(path);
  if (extension) return OPENERS[extension](path).catch(namingHeader(path));
  const scan = await openDicom(path);
  if (!scan) throw await notAScan(path);
  return scan;
}

/** Passes errors on; a missing file that is not the one that was asked for is one that its header needs. */
const namingHeader =
  (path: string) =>
  (error: unknown): never => {
    const { facts, cause } = error instanceof UserError ? error : {};
    const isMissing = (cause as { readonly code?: string } | undefined)?.code === 'ENOENT';
    if (!isMissing || facts?.where === path || !scanExtension(path)) throw error;
    throw unreadable(path, 'a file that belongs to this scan is missing', {
      got: `no ${relative(dirname(path), facts?.where ?? '')}`,
      expected: 'the header and its data files together',
      fix: 'put it there, under the name that the header has for it',
      cause: error,
    });
  };
