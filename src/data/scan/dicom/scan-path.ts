/** Paths of DICOM scans: `FOLDER#NAME`, the folder or file that a scan was found by, and its name. */
import { existsSync } from 'node:fs';

/** The name is a hash of twelve digits or a SeriesInstanceUID, with a suffix where a series holds several scans. */
const NAMED = /^(.+)#((?:[0-9a-f]{12}|\d+(?:\.\d+)+)(?:-seg)?(?:-\d+)?)$/;

export const scanPath = (scope: string, name: string): string => `${scope.replace(/(?<=.)\/+$/, '')}#${name}`;

/** Null for a path of another kind, and for one at which there is something: folders may be called `CT#2024.01.15`. */
export function parseScanPath(path: string): { scope: string; name: string } | null {
  const [, scope, name] = NAMED.exec(path) ?? [];
  return scope === undefined || existsSync(path) ? null : { scope, name: name! };
}

/** The file or folder that a scan of any format is found by. */
export const scopeOf = (path: string): string => parseScanPath(path)?.scope ?? path;
