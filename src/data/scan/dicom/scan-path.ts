/** How a DICOM scan is named among paths: `FOLDER#NAME`, the folder or the file that it was found by and its name. */

/** Twelve digits, and which one it is where there are several. */
const NAMED = /^(.+)#([0-9a-f]{12}(?:-seg)?(?:-\d+)?)$/;

export const scanPath = (scope: string, name: string): string => `${scope}#${name}`;

/** Null for a path of another kind. */
export function parseScanPath(path: string): { scope: string; name: string } | null {
  const [, scope, name] = NAMED.exec(path) ?? [];
  return scope === undefined ? null : { scope, name: name! };
}
