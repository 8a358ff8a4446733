import { type Dirent, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fromSystemError, UserError } from '../../errors.js';
import { isFolder, isPresentFolder } from '../../files.js';

/** The endings of the files that {@link readVolume} reads. */
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

/** The error for a file that is no scan by its name. */
export function notAScan(path: string): UserError {
  return new UserError('input', {
    what: 'this type of file is not a scan',
    where: path,
    expected: SCAN_EXTENSIONS.join(', '),
    ...(/\.z?raw$/i.test(path) && { fix: 'use the .mhd header that belongs to it' }),
  });
}

/**
 * Lists the scans in files and folders, the latter with everything below them. Pairs count once: `.mhd` + `.raw`
 * by the `.mhd`, `.hdr` + `.img` by the `.hdr`. A file that is reached in several ways counts once, links to
 * folders are followed once, and names that begin with a dot are passed over.
 * @returns paths that begin as the given ones do, sorted by code units
 * @throws UserError of kind `input` for a file that is no scan and a folder without any
 * @example
 * for (const path of await findScans(['scans'])) console.log(path);
 */
export async function findScans(paths: string[]): Promise<string[]> {
  const found = paths.flatMap((path) => {
    if (!isPresentFolder(path)) return [checkedName(path)];
    const scans = scansBelow(path, new Set());
    if (scans.length === 0) {
      throw new UserError('input', {
        what: 'there are no scans in this folder',
        where: path,
        expected: SCAN_EXTENSIONS.join(', '),
      });
    }
    return scans;
  });
  const firstByFile = new Map<string, string>();
  for (const path of found.map(headerOfPair).sort()) {
    const file = realPath(path);
    if (!firstByFile.has(file)) firstByFile.set(file, path);
  }
  return [...firstByFile.values()];
}

function checkedName(path: string): string {
  if (!scanExtension(path)) throw notAScan(path);
  return path;
}

/** A pair goes by its header. */
export function headerOfPair(path: string): string {
  return path.replace(/\.img$/i, (extension) => (extension === '.IMG' ? '.HDR' : '.hdr'));
}

/** @param visited real paths of the folders on the way, so that links cannot lead in circles */
function scansBelow(folder: string, visited: Set<string>): string[] {
  const real = realPath(folder);
  if (visited.has(real)) return [];
  visited.add(real);
  return entriesOf(folder).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.name.startsWith('.')) return [];
    if (entry.isDirectory() || (entry.isSymbolicLink() && isFolder(path))) return scansBelow(path, visited);
    // An .img without its .hdr is some other image. A scan that cannot be read is listed: reading it says why.
    return scanExtension(path) && !/\.img$/i.test(path) ? [path] : [];
  });
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    throw fromSystemError(error, folder);
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path; // a broken link stands for itself
  }
}
