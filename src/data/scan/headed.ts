/** Headers of scans whose voxels lie in other files. Imports nothing of Node.js: pages use it too. */
const HEADER = /\.(mhd|nhdr|hdr)$/i;

/** The one header among the names of files, which finds its data files by theirs; null where there is none, or more than one. */
export function headerAmong(names: readonly string[]): string | null {
  const [header, ...others] = names.filter((name) => HEADER.test(name) && !name.startsWith('.'));
  return header !== undefined && others.length === 0 ? header : null;
}
