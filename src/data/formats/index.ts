import type { Volume } from '../volume.js';
import { readBlock } from './file.js';
import { notAScan, type ScanExtension, scanExtension } from './find.js';
import { openMetaImage } from './metaimage.js';
import { openNifti } from './nifti.js';
import { openNpy } from './npy.js';
import { decodeVoxels, type ScanHeader, type StoredScan, voxelBytes } from './scan.js';
import { printable } from './unreadable.js';

export { findScans, SCAN_EXTENSIONS } from './find.js';
export type { ScanHeader } from './scan.js';

/** One row a format: a new one needs a function that finds out where and how its voxels are stored. */
const OPENERS: Readonly<Record<ScanExtension, (path: string) => Promise<StoredScan>>> = {
  '.mhd': openMetaImage,
  '.mha': openMetaImage,
  '.nii': openNifti,
  '.nii.gz': openNifti,
  '.hdr': openNifti,
  '.img': openNifti,
  '.npy': openNpy,
};

/**
 * Reads a scan of any supported format, chosen by the extension.
 * @returns HU on an LPS grid, axes as stored (see `orientLPS`); `nonFinite` counts voxels that were no numbers
 * @throws UserError of kind `input` when the file is broken, not what its extension says, or not a 3-D scan,
 *   of kind `disk` when it cannot be read
 * @example
 * const volume = orientLPS(await readVolume('scan.nii.gz'));
 */
export async function readVolume(path: string): Promise<Volume> {
  const scan = await openScan(path);
  return decodeVoxels(scan.block.path, scan, await readBlock(scan.block, voxelBytes(scan)));
}

/**
 * Reads what the header of a scan says, without the voxels.
 * @throws UserError as {@link readVolume}
 * @example
 * const { format, grid } = await readScanHeader('scan.nii.gz');
 */
export async function readScanHeader(path: string): Promise<ScanHeader> {
  const { format, elementType, grid, fields } = await openScan(path);
  const texts = Object.entries(fields).map(([name, text]) => [name, printable(text)]);
  return { format, elementType, grid, fields: Object.fromEntries(texts) };
}

async function openScan(path: string): Promise<StoredScan> {
  const extension = scanExtension(path);
  if (!extension) throw notAScan(path);
  return OPENERS[extension](path);
}
