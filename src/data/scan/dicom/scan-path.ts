/** How a DICOM scan is named among paths: `FOLDER#NAME`, the folder or the file that it was found by and its name. */

/** Twelve digits, or the identifier of the series itself, and which one it is where there are several. */
const NAMED = /^(.+)#((?:[0-9a-f]{12}|\d+(?:\.\d+)+)(?:-seg)?(?:-\d+)?)$/;

export const scanPath = (scope: string, name: string): string => `${scope.replace(/(?<=.)\/+$/, '')}#${name}`;

/** Null for a path of another kind. */
export function parseScanPath(path: string): { scope: string; name: string } | null {
  const [, scope, name] = NAMED.exec(path) ?? [];
  return scope === undefined ? null : { scope, name: name! };
}

/** The file or the folder that a scan of any kind is found by. */
export const scopeOf = (path: string): string => parseScanPath(path)?.scope ?? path;
