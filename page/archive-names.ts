/** Headers of scans whose voxels lie in other files. */
const HEADER = /\.(mhd|nhdr|hdr)$/i;

/**
 * What the files of a scan are called where they are sent: numbers, as names may be those of patients. Only a header finds its data
 * files by their names.
 */
export const archiveNames = (names: readonly string[]): readonly string[] =>
  names.some((name) => HEADER.test(name)) ? names : names.map((_, i) => String(i + 1));
