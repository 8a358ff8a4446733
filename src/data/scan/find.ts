import { dirname } from 'node:path';
import { grouped } from '../../../graphs/onnx/grouped.js';
import { abridged, UserError } from '../../errors.js';
import { isPresentFolder } from '../../files.js';
import type { DicomScan } from './dicom/catalogue.js';
import { openDicomFile } from './dicom/file.js';
import { freshCatalogue, insteadOfScan, otherThanScan } from './dicom/open.js';
import { parseScanPath, scanPath } from './dicom/scan-path.js';
import { SCAN_EXTENSIONS, scanExtension } from './extensions.js';
import { readBytes } from './file.js';
import { filesBelow, realPath } from './walk.js';

/** What may be given as a scan, for messages. */
export const SCAN_KINDS = `${SCAN_EXTENSIONS.join(', ')}, or DICOM`;

/** The error for a file that is no scan, neither by its name nor as DICOM. */
export async function notAScan(path: string): Promise<UserError> {
  const start = await readBytes(path, 0, 4);
  const zipped = start.toString('latin1') === 'PK\x03\x04';
  return new UserError('input', {
    what: zipped ? 'this is a zip archive, not a scan' : 'this type of file is not a scan',
    where: path,
    expected: SCAN_KINDS,
    ...(zipped && { fix: 'unpack it and give the folder' }),
    ...(/\.z?raw$/i.test(path) && { fix: 'use the .mhd or .nhdr header that belongs to it' }),
  });
}

export interface FindOptions {
  /** Whether DICOM segmentations are listed, instead of images, as they are masks; default false. */
  readonly segmentations?: boolean;
  /** Whether DICOM series go by their own identifier (UID), which may lead to the patient; default false. */
  readonly keepUids?: boolean;
  /** Is told of DICOM that is no scan, such as localisers, reports and single images: a line each. */
  readonly passedOver?: (line: string) => void;
}

/**
 * Lists the scans in files and folders, the latter with everything below them. Pairs count once: `.mhd` + `.raw`
 * by the `.mhd`, `.hdr` + `.img` by the `.hdr`. A file that is reached in several ways counts once, as do copies of a series;
 * links to folders are followed once, and names that begin with a dot are passed over. DICOM is known by its content, whatever
 * its files are called: a series is listed as `FOLDER#NAME`, the folder (or the file) that it was found by and a name
 * made of its identifier.
 * @returns paths that begin as the given ones do, sorted by code units
 * @throws UserError of kind `input` for a file that is no scan and a folder without any
 * @example
 * for (const path of await findScans(['scans'])) console.log(path);
 */
export async function findScans(paths: string[], options: FindOptions = {}): Promise<string[]> {
  const found: Found[] = [];
  const dicomFiles = new Map<string, string[]>();
  for (const path of paths) {
    if (parseScanPath(path)) found.push({ path });
    else if (isPresentFolder(path)) found.push(...(await scansInFolder(path, options)));
    else if (scanExtension(path)) found.push({ path });
    else if (await openDicomFile(path))
      dicomFiles.set(dirname(path), [...(dicomFiles.get(dirname(path)) ?? []), path]);
    else throw await notAScan(path);
  }
  for (const files of dicomFiles.values()) found.push(...(await scansOfFiles(files, options)));
  if (found.length === 0 && paths.length > 0)
    throw new UserError('input', {
      what: paths.length === 1 ? 'this DICOM file is not a scan' : 'none of these DICOM files is a scan',
      where: abridged(paths),
      expected: SCAN_KINDS,
      ...insteadOfScan([(await otherThanScan(paths[0]!)) ?? 'a mask']),
    });
  const named = found.map(({ path, ...of }): Found => ({ ...of, path: headerOfPair(path) }));
  const alike = grouped(named, ({ path }) => parseScanPath(path)?.name ?? realPath(path));
  const distinct: string[] = [];
  for (const scans of alike.values()) distinct.push(...(await withoutCopies(scans)));
  return distinct.sort();
}

interface Found {
  readonly path: string;
  /** Undefined for other formats, and for a series that was named. */
  readonly dicom?: DicomScan;
}

/** A pair goes by its header. */
export function headerOfPair(path: string): string {
  return path.replace(/\.img$/i, (extension) => (extension === '.IMG' ? '.HDR' : '.hdr'));
}

/**
 * Of the ways to one file the first. Series of one name may have been found in several folders: those without images of their own
 * are copies.
 */
async function withoutCopies(scans: readonly Found[]): Promise<string[]> {
  const paths = [...new Set(scans.map(({ path }) => path))].sort();
  if (paths.length === 1 || !parseScanPath(paths[0]!)) return paths.slice(0, 1);
  const kept: { readonly path: string; readonly images: ReadonlySet<string> }[] = [];
  for (const path of paths) {
    const images = new Set(await imagesOf(scans.find((scan) => scan.path === path)!));
    const isCopy =
      images.size > 0 && kept.some((other) => [...images].every((image) => other.images.has(image)));
    if (!isCopy) kept.push({ path, images });
  }
  return kept.map(({ path }) => path);
}

/** What copies of the images of a DICOM scan share, and others do not. */
async function imagesOf({ path, dicom }: Found): Promise<string[]> {
  const { scope, name } = parseScanPath(path)!;
  const scan = dicom ?? (await freshCatalogue(scope)).scans.find((s) => [s.name, s.uidName].includes(name));
  return (scan?.files ?? []).flatMap(({ path: file, content }) => {
    if (content.kind === 'segmentation') return [content.uid || file];
    if (content.kind !== 'slices') return [];
    return content.slices.map(({ uid, frame, position }) => `${uid || file} ${frame} ${position}`);
  });
}

async function scansInFolder(folder: string, options: FindOptions): Promise<Found[]> {
  // An .img without its .hdr is some other image. A scan that cannot be read is listed: reading it says why.
  const all = filesBelow(folder);
  const files = all.filter((path) => scanExtension(path) && !/\.img$/i.test(path));
  const { scans, passedOver: others } = await freshCatalogue(folder);
  const masks = options.segmentations ? [] : scans.filter(({ stack }) => stack === null);
  const passedOver = [
    ...others,
    ...masks.map((scan) => `${scanPath(folder, nameOf(scan, options))}: passed over: a segmentation`),
  ];
  for (const line of passedOver) options.passedOver?.(line);
  const series = scans
    .filter((scan) => isWanted(scan, options))
    .map((dicom): Found => ({ path: scanPath(folder, nameOf(dicom, options)), dicom }));
  if (files.length + series.length > 0) return [...files.map((path): Found => ({ path })), ...series];
  throw new UserError('input', {
    what: 'there are no scans in this folder',
    where: folder,
    expected: SCAN_KINDS,
    ...(passedOver.length > 0 && insteadOfScan(passedOver)),
    ...(all.some((path) => /\.zip$/i.test(path)) && { fix: 'unpack the zip archives in it' }),
  });
}

const isWanted = ({ stack }: DicomScan, { segmentations = false }: FindOptions) =>
  (stack === null) === segmentations;

const nameOf = ({ name, uidName }: DicomScan, { keepUids = false }: FindOptions) =>
  keepUids ? uidName : name;

/** The scans that files of one folder are of, all by the first of the files: so the folder is looked at only once. */
async function scansOfFiles(files: readonly string[], options: FindOptions): Promise<Found[]> {
  const found: Found[] = [];
  const left = new Set(files);
  for (const first of files) {
    if (!left.has(first)) continue;
    const what = await otherThanScan(first);
    if (what !== null) {
      options.passedOver?.(`${first}: passed over: ${what}`);
      continue;
    }
    const { scans } = await freshCatalogue(first);
    for (const dicom of scans) {
      const given = dicom.files.filter(({ path }) => left.delete(path));
      if (given.length > 0 && isWanted(dicom, options))
        found.push({ path: scanPath(first, nameOf(dicom, options)), dicom });
    }
  }
  return found;
}
