import { realpathSync } from 'node:fs';
import { dirname, resolve, sep } from 'node:path';
import { unreadable } from './unreadable.js';

/**
 * Finds a data file that a header names: in the header's folder or below it, where the header seems to be or, when
 * it is reached by a symbolic link, where it really is. A header from elsewhere must not make us read other files,
 * neither by its text nor by links beside it.
 * @param nameOf the file's name, from the path of the header; `\` is read as `/`
 * @returns its real path; where it should lie when it is missing
 * @throws UserError when it lies elsewhere
 */
export function dataFileOf(header: string, nameOf: (header: string) => string): string {
  const headers = [header, realPath(header) ?? header];
  const folders = headers.map((path) => resolve(dirname(path)));
  const claimed = headers.map((path, i) => resolve(folders[i]!, nameOf(path).replaceAll('\\', '/')));
  const real = claimed.flatMap((path) => realPath(path) ?? []);
  const realFolders = folders.flatMap((folder) => realPath(folder) ?? []);
  const inside = real.find((path) => realFolders.some((folder) => isBelow(path, folder)));
  if (inside !== undefined) return inside;
  const missing = real.length === 0 && isBelow(claimed[0]!, folders[0]!) && !claimed[0]!.includes('\0');
  if (missing) return claimed[0]!;
  throw unreadable(header, 'the data file must be in the folder of the header, or below it', {
    got: real.length > 0 ? `${nameOf(header)}, which is ${real[0]}` : nameOf(header),
    fix: 'copy the data file itself there, or link to the folder that contains both',
  });
}

const isBelow = (path: string, folder: string) =>
  path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined; // missing, or a broken link
  }
}
