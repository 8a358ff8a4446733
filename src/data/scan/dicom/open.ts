/** DICOM series and segmentations as scans. */
import { statSync } from 'node:fs';
import { abridged, UserError } from '../../../errors.js';
import { isPresentFolder } from '../../../files.js';
import type { NumberArray } from '../elements.js';
import { type Block, checkedGrid, type StoredScan } from '../scan.js';
import { unreadable } from '../unreadable.js';
import type { Grid } from '../volume.js';
import { FILL_HU } from '../voxel-builder.js';
import { type Catalogue, type DicomScan, NAME_DIGITS, readCatalogue } from './catalogue.js';
import { openDicomFile } from './file.js';
import { checkFrame } from './frame.js';
import { frameReader } from './frame-reader.js';
import { instanceOf, type Slice } from './instance.js';
import { commonType, type PixelType, pixelTypeOf, pixelValues } from './pixels.js';
import { straighten, straightGrid } from './resample.js';
import { parseScanPath, scanPath } from './scan-path.js';
import { openSegmentation } from './segmentation.js';
import type { Stack } from './stack.js';

/** Catalogues by folder or file, so that a tree is not read again for each of its series. */
const catalogues = new Map<string, Catalogue>();
const MOST_CATALOGUES = 32;

/** Reads the catalogue of a folder or file anew. @throws UserError when a folder cannot be read */
export async function freshCatalogue(scope: string): Promise<Catalogue> {
  const catalogue = await readCatalogue(scope);
  catalogues.delete(scope);
  catalogues.set(scope, catalogue);
  if (catalogues.size > MOST_CATALOGUES) catalogues.delete(catalogues.keys().next().value!);
  return catalogue;
}

/** The catalogues that were read, as plain data for other threads. */
export type KnownCatalogues = ReadonlyMap<string, Catalogue>;
export const knownCatalogues = (): KnownCatalogues => catalogues;

/** Takes over the catalogues of another thread. */
export function learnCatalogues(known: KnownCatalogues): void {
  for (const [scope, catalogue] of known) catalogues.set(scope, catalogue);
}

/**
 * Opens a series or segmentation. A folder must hold one scan; a file stands for its series, as far as that is in the
 * same folder; `FOLDER#NAME` names one of several.
 * @returns null for a file that is not DICOM
 * @throws UserError when the slices do not form a volume
 */
export async function openDicom(path: string): Promise<StoredScan | null> {
  const named = parseScanPath(path);
  const scope = named?.scope ?? path;
  const file = isPresentFolder(scope) ? null : await openDicomFile(scope);
  if (!file && !isPresentFolder(scope)) return null;
  const wanted = ({ scans }: Catalogue) =>
    scans.filter((scan) =>
      named
        ? [scan.name, scan.uidName].includes(named.name)
        : !file || scan.files.some((instance) => instance.path === scope),
    );
  const known = catalogues.get(scope);
  const unchanged =
    known && wanted(known).length > 0 && wanted(known).every(isUnchanged) && (named || hasSameFolders(known));
  const catalogue = unchanged ? known : await freshCatalogue(scope);
  const found = wanted(catalogue);
  const images = found.filter(({ stack }) => stack !== null);
  const candidates = images.length > 0 && !named && !file ? images : found;
  const [scan, ...others] = candidates;
  if (!scan) throw noScan(path, file ? [(await otherThanScan(scope)) ?? 'no images'] : catalogue.passedOver);
  if (others.length > 0) throw several(path, candidates);
  if (scan.stack === null) return openSegmentation(path, scan, gridsOf(scan, catalogue));
  if ('misfit' in scan.stack) throw new UserError('input', { ...scan.stack.misfit, where: path });
  return storedSeries(path, scan, scan.stack);
}

/** The grids of the series that a segmentation was drawn on, as far as they are in the same catalogue. */
function gridsOf(segmentation: DicomScan, { scans }: Catalogue): Grid[] {
  const series = segmentation.name.slice(0, NAME_DIGITS);
  return scans.flatMap(({ name, stack }) =>
    name.startsWith(series) && stack && 'slices' in stack && !stack.uneven ? [stack.grid] : [],
  );
}

function isUnchanged({ files }: DicomScan): boolean {
  return files.every(({ path, bytes, modifiedMs }) => {
    const info = statSync(path, { throwIfNoEntry: false });
    return info?.size === bytes && info.mtimeMs === modifiedMs;
  });
}

/** Times of files are less exact than those of the clock. */
const CLOCK_TOLERANCE_MS = 1000;

/** Whether no file has been added. Series that are named are taken as they were when they were found: others may be arriving. */
const hasSameFolders = ({ folders, beganMs }: Catalogue): boolean =>
  folders.every((path) => {
    const info = statSync(path, { throwIfNoEntry: false });
    return info !== undefined && info.mtimeMs < beganMs - CLOCK_TOLERANCE_MS;
  });

/** What a DICOM file is if it is not part of a scan; null if it is, or if it is not DICOM. */
export async function otherThanScan(path: string): Promise<string | null> {
  const file = await openDicomFile(path);
  const content = file && instanceOf(file).content;
  return content && 'what' in content ? content.what : null;
}

/** What users can do about files that are not scans. */
const WAYS: readonly (readonly [what: RegExp, fix: string])[] = [
  [
    /^an RTSTRUCT/,
    'convert the contours to a mask first, for example with `plastimatch convert` or dcmrtstruct2nii',
  ],
  [/^a DICOMDIR/, 'give the folder that it is in'],
  [
    /transfer syntax [\d.]+, which is not supported/,
    'decompress it with another program, such as gdcmconv --raw or dcmdjpeg',
  ],
];

/** What was found instead of a scan, and what users can do about it. @param lines of a catalogue, or what a file is */
export function insteadOfScan(lines: readonly string[]): { got: string; fix?: string } {
  const found = lines.map((line) => line.replace(/^.*?: passed over: /, ''));
  const way = WAYS.find(([what]) => found.some((other) => what.test(other)));
  return { got: found.length > 0 ? abridged(found) : 'no images', ...(way && { fix: way[1] }) };
}

const noScan = (path: string, lines: readonly string[]) =>
  unreadable(path, 'there is no DICOM scan here', {
    expected: 'slices of a CT or another scan, with their positions in the patient',
    ...insteadOfScan(lines),
  });

/** What tells a scan apart from others of its study; nothing that its files say in words, which may name the patient. */
function described({ modality, stack }: DicomScan): string {
  if (stack === null) return 'a segmentation';
  if ('misfit' in stack) return `${modality}: ${stack.misfit.what}`;
  const { size, spacing } = stack.grid;
  return `${modality}, ${size.join('×')} voxels of ${spacing.map((mm) => Number(mm.toFixed(2))).join('×')} mm`;
}

function several(path: string, scans: readonly DicomScan[]): UserError {
  const choices = scans.map((scan) => ({ name: scan.name, what: described(scan) }));
  return new UserError('input', {
    what: 'there are several scans here',
    where: path,
    got: choices.map(({ name, what }) => `${name} (${what})`).join('; '),
    expected: 'one scan',
    choices,
    fix: `name one of them: ${scanPath(path, choices[0]!.name)}`,
  });
}

function storedSeries(path: string, scan: DicomScan, stack: Stack): StoredScan {
  const { slices, uneven } = stack;
  const type = commonType([...new Set(slices.map(({ pixels }) => pixelTypeOf(pixels)))]);
  const [first] = slices;
  const frames = frameReader(slices);
  return {
    format: 'DICOM',
    elementType: type,
    grid: checkedGrid(path, stack.grid),
    fields: fieldsOf(scan, stack),
    littleEndian: true,
    slope: first!.slope,
    intercept: first!.intercept,
    files: scan.files.map(({ path }) => path),
    blocks: slices.map((slice, i) => sliceBlock(slice, type, scan.modality === 'CT', () => frames.read(i))),
    close: frames.close,
    ...(uneven && {
      resampled: {
        what: uneven.what,
        grid: checkedGrid(path, straightGrid(stack)),
        apply: (volume) => straighten(volume, stack, path),
      },
    }),
  };
}

/** Header fields for `p2w inspect`, without patient data. */
function fieldsOf({ modality, files }: DicomScan, { slices, uneven }: Stack): Record<string, string> {
  const [{ pixels, plane }] = slices as [Slice];
  const range = (values: readonly number[]) => [...new Set(values)].slice(0, 3).join(', ');
  return {
    modality,
    files: String(files.length),
    slices: String(slices.length),
    transferSyntax: pixels.syntax.name,
    bitsStored: `${pixels.bitsStored} of ${pixels.bitsAllocated}${pixels.signed ? ', signed' : ''}`,
    rescaleSlope: range(slices.map(({ slope }) => slope)),
    rescaleIntercept: range(slices.map(({ intercept }) => intercept)),
    ...(plane.sliceThickness > 0 && { sliceThicknessMm: String(plane.sliceThickness) }),
    ...(uneven && { resampled: uneven.what }),
  };
}

/** The values of a slice. Padding of a CT that would look like tissue becomes air. */
function sliceBlock(
  slice: Slice,
  type: PixelType,
  isCt: boolean,
  readFrame: () => Promise<NumberArray>,
): Block {
  const { path, frame, pixels, slope, intercept } = slice;
  return {
    path,
    rescale: { slope, intercept },
    check: () => checkFrame(path, pixels, frame),
    async *read(bytes) {
      const values = pixelValues(await readFrame(), pixels, type);
      if (isCt) replacePadding(values, slice);
      if (values.byteLength !== bytes) throw new RangeError(`${values.byteLength} of ${bytes} bytes`);
      yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    },
  };
}

/** HU of air. Padding at or below it does no harm and stays. */
const AIR_HU = -1000;

function replacePadding(values: NumberArray, { padding, slope, intercept, pixels }: Slice): void {
  if (!padding) return;
  const [low, high] = padding;
  if (Math.max(low * slope, high * slope) + intercept <= AIR_HU) return;
  const isPadding = (value: number) => value >= low && value <= high;
  // Padding surrounds the image. If no corner has it, the header is wrong, and the value may be tissue.
  const { columns, rows } = pixels;
  const corners = [0, columns - 1, columns * (rows - 1), columns * rows - 1];
  if (!corners.some((corner) => isPadding(values[corner]!))) return;
  const stored = Math.round((FILL_HU - intercept) / slope);
  const air = pixels.signed ? stored : Math.max(0, stored);
  for (let i = 0; i < values.length; i++) if (isPadding(values[i]!)) values[i] = air;
}
