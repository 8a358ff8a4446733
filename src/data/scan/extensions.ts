/** The endings of the files that `readVolume` reads, besides DICOM, which is known by its content. */
export const SCAN_EXTENSIONS = [
  '.mhd',
  '.mha',
  '.nii',
  '.nii.gz',
  '.hdr',
  '.img',
  '.nrrd',
  '.nhdr',
  '.npy',
] as const;

export type ScanExtension = (typeof SCAN_EXTENSIONS)[number];

/** The scan extension of a path, in lower case, or undefined. */
export function scanExtension(path: string): ScanExtension | undefined {
  const name = path.toLowerCase();
  return SCAN_EXTENSIONS.find((extension) => name.endsWith(extension));
}
