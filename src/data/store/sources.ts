/** The scans that a tile store is made from: their names, and the files that they lie in. */
import { statSync } from 'node:fs';
import { basename, dirname, relative, resolve, sep } from 'node:path';
import { fromSystemError } from '../../errors.js';
import { parseScanPath } from '../scan/dicom/scan-path.js';
import { scanExtension } from '../scan/extensions.js';
import { isScan, scanFiles } from '../scan/index.js';
import { realPath } from '../scan/walk.js';
import { sha256 } from './arrays.js';
import type { SourceFile } from './writer.js';

/**
 * Gives each scan a name of its own: its file's, without extension, or where several have the same, its path from
 * the folder that all scans have in common, without extension where that tells them apart. A DICOM series
 * has its own name, numbered where several folders have such a series; a segmentation has that of the series that it was drawn on.
 * @returns paths by name, in the order given
 */
export function identifyScans(paths: readonly string[]): Map<string, string> {
  const common = commonFolder(paths);
  const found = new Map<string, number>();
  const candidates = paths.map((path): [name: string, ...paths: string[]] => {
    const whole = relative(common, resolve(path)).split(sep).join('/');
    const series = parseScanPath(path)?.name.replace(/-seg$/, '');
    if (series !== undefined) {
      const number = (found.get(series) ?? 0) + 1;
      found.set(series, number);
      return [series, `${series}_${number}`];
    }
    const bare = whole.slice(0, whole.length - (scanExtension(path)?.length ?? 0));
    return [basename(bare), bare, whole];
  });
  const countOf = (lists: readonly (readonly string[])[]) => {
    const counts = new Map<string, number>();
    for (const name of lists.flatMap((list) => [...new Set(list)]))
      counts.set(name, (counts.get(name) ?? 0) + 1);
    return counts;
  };
  // A path that is also the file name of other scans is free: none of them goes by that.
  const claims = countOf(candidates);
  const pathClaims = countOf(candidates.map(([, ...own]) => own));
  const names = candidates.map(([name, ...own]) =>
    claims.get(name) === 1 ? name : (own.find((path) => pathClaims.get(path) === 1) ?? own.at(-1)!),
  );
  return new Map(paths.map((path, i) => [names[i]!, path]));
}

/** Scans below a folder. */
interface ScansIn {
  readonly folder: string;
  readonly paths: readonly string[];
}

/**
 * Pairs scans of one folder with those of another: those that lie at the same place below them, extensions aside, and of the others
 * those whose names no other scan has.
 * @returns path of the second folder by path of the first
 */
export function pairScans(scans: ScansIn, others: ScansIn): Map<string, string> {
  const placesOf = ({ folder, paths }: ScansIn) =>
    new Map(
      paths.flatMap((path): [string, string][] => {
        const extension = scanExtension(path);
        return extension ? [[path, relative(folder, resolve(path)).slice(0, -extension.length)]] : [];
      }),
    );
  const byPlace = new Map([...placesOf(others)].map(([path, place]) => [place, path]));
  const pairs = new Map(
    [...placesOf(scans)].flatMap(([path, place]): [string, string][] => {
      const other = byPlace.get(place);
      return other === undefined ? [] : [[path, other]];
    }),
  );
  const taken = new Set(pairs.values());
  const byName = identifyScans(others.paths);
  for (const [name, path] of identifyScans(scans.paths)) {
    const other = byName.get(name);
    if (pairs.has(path) || other === undefined || taken.has(other) || name.includes('/')) continue;
    pairs.set(path, other);
  }
  return pairs;
}

/** The folder that all paths lie in, and that is as far down as can be. */
export function commonFolder(paths: readonly string[]): string {
  const [first = [], ...others] = paths.map((path) => dirname(resolve(path)).split(sep));
  const differing = first.findIndex((name, i) => others.some((other) => other[i] !== name));
  return (differing < 0 ? first : first.slice(0, differing)).join(sep) || sep;
}

/**
 * The files that a scan lies in, or the one that holds other data, as they are now. Those of a DICOM series count as one:
 * they are many, and may be called after the patient.
 */
export async function sourceFiles(path: string): Promise<SourceFile[]> {
  const scan = await isScan(path);
  const files = (scan ? await scanFiles(path) : [path]).map((file) => {
    try {
      const { size, mtimeMs } = statSync(file);
      return { name: basename(file), bytes: size, modifiedMs: mtimeMs };
    } catch (error) {
      throw fromSystemError(error, file);
    }
  });
  if (!scan || scanExtension(path)) return files;
  return [
    {
      name: parseScanPath(path)?.name ?? 'DICOM',
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      modifiedMs: Math.max(...files.map(({ modifiedMs }) => modifiedMs)),
    },
  ];
}

/** Hexadecimal digits of a place. */
const PLACE_DIGITS = 16;

/**
 * Tells scans of one name apart: a hash of where a scan's file lies, or the folder of a DICOM series, since a path may name the
 * patient. Whichever way leads there, it is the same.
 * @throws UserError when a series cannot be read
 */
export async function scanPlace(path: string): Promise<string> {
  const place = scanExtension(path) ? path : commonFolder(await scanFiles(path));
  return sha256(realPath(place)).slice(0, PLACE_DIGITS);
}
