/** Listing the files of folders. */
import { type Dirent, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fromSystemError } from '../../errors.js';
import { isFolder } from '../../files.js';

/**
 * All files of a folder and below it. Links to folders are followed once, and names that begin with a dot are passed
 * over.
 * @param visited real paths of the folders on the way, so that links cannot lead in circles
 */
export function filesBelow(folder: string, visited = new Set<string>()): string[] {
  const real = realPath(folder);
  if (visited.has(real)) return [];
  visited.add(real);
  return entriesOf(folder).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.name.startsWith('.')) return [];
    if (entry.isDirectory() || (entry.isSymbolicLink() && isFolder(path))) return filesBelow(path, visited);
    return [path];
  });
}

/** The files of a folder itself. */
export const filesIn = (folder: string): string[] =>
  entriesOf(folder).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.name.startsWith('.') || isFolder(path) ? [] : [path];
  });

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    throw fromSystemError(error, folder);
  }
}

/** The path itself where it leads nowhere, as a broken link does. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
