/** DICOM segmentations as masks: each voxel has the number of its segment, or 0. */

import { readBytes, regularFileSize } from '../file.js';
import { worldToVoxel } from '../geometry.js';
import { checkedGrid, type StoredScan } from '../scan.js';
import { tooShort, unreadable } from '../unreadable.js';
import type { Grid, XYZ } from '../volume.js';
import type { DicomScan } from './catalogue.js';
import { type Dataset, NeedsMoreBytes, NotElements } from './dataset.js';
import { type DicomFile, openDicomFile } from './file.js';
import { checkFrame, checkLength, readFrame } from './frame.js';
import { functionalGroups } from './functional-groups.js';
import { pixelFormat } from './instance.js';
import { NotScan } from './not-scan.js';
import { depthOf, dot, isParallel, normalOf, type Plane, placeOf } from './plane.js';
import { TAGS } from './tags.js';

/** A plane of one segment, or of several in a label map. */
interface Frame {
  /** Null in a label map, whose pixels are numbers of segments. */
  readonly segment: number | null;
  readonly position: XYZ;
  readonly plane: Plane;
}

/** How the pixels of a segmentation are stored. */
interface Labels {
  /** @throws UserError when the file cannot hold so many frames */
  check(frames: number): Promise<void>;
  /** The number of its segment for each pixel of a frame, 0 for none. */
  read(frame: number, segment: number | null): Promise<Uint8Array>;
}

/**
 * Reads the header of a segmentation: binary, fractional with nothing between none and all, or a label map.
 * @param references grids of the series that it was drawn on, where that is at hand: it is put onto the first that has its planes
 * @throws UserError when it is broken, or stored in another way
 */
export async function openSegmentation(
  path: string,
  { files }: DicomScan,
  references: readonly Grid[],
): Promise<StoredScan> {
  const file = (await openDicomFile(files[0]!.path))!;
  const { dataset } = file;
  const [columns, rows] = [dataset.number(TAGS.Columns) ?? 0, dataset.number(TAGS.Rows) ?? 0];
  const labels = labelsOf(path, file, columns * rows);
  const frames = framesOf(path, dataset);
  const own = gridOf(path, frames, columns, rows);
  const grid = references.find((reference) => liesOn(frames, own, reference)) ?? own;
  return {
    format: 'DICOM segmentation',
    elementType: 'uint8',
    grid,
    fields: {
      type: typeOf(dataset),
      frames: String(frames.length),
      segments: segmentsOf(path, dataset).join(', '),
    },
    ...{ littleEndian: true, slope: 1, intercept: 0 },
    files: files.map((instance) => instance.path),
    blocks: [
      {
        path: file.path,
        check: () => labels.check(frames.length),
        async *read() {
          for (const plane of planesOf(frames, grid))
            yield await readPlane(path, plane, columns * rows, labels);
        },
      },
    ],
  };
}

const typeOf = (dataset: Dataset) =>
  /^[A-Z]{1,16}$/.exec(dataset.text(TAGS.SegmentationType))?.[0] ?? 'BINARY';

/** @throws UserError */
function labelsOf(path: string, file: DicomFile, pixels: number): Labels {
  const { dataset, syntax, flaw } = file;
  const type = typeOf(dataset);
  const bits = dataset.number(TAGS.BitsAllocated) ?? 0;
  if (flaw !== null || !file.pixels) throw broken(path, flaw ?? 'no pixels');
  // Big-endian words of bits would have to be swapped; no program is known to write them.
  const plainBits = !syntax?.codec && !syntax?.deflated && (syntax?.littleEndian || file.pixels.vr !== 'OW');
  if (type === 'BINARY' && bits === 1 && plainBits) return binaryLabels(file.path, file.pixels, pixels);
  if (type === 'FRACTIONAL' && bits === 8) return fractionalLabels(path, file);
  if (type === 'LABELMAP' && (bits === 8 || bits === 16)) return labelMap(path, file);
  throw unreadable(path, 'segmentations of this kind are not supported', {
    got: `${type}, ${bits} bits, ${syntax?.name}`,
    expected: 'BINARY of 1 bit, not compressed; FRACTIONAL of 8 bits; or LABELMAP of 8 or 16 bits',
    fix: 'convert it to NIfTI or NRRD with another program, for example segimage2itkimage of dcmqi',
  });
}

/** A bit for each pixel. Frames follow one another bit by bit: only some begin at a byte. */
const binaryLabels = (
  path: string,
  { start, length }: NonNullable<DicomFile['pixels']>,
  pixels: number,
): Labels => ({
  async check(frames) {
    const bytes = Math.ceil((frames * pixels) / 8);
    checkLength(path, length, bytes);
    const available = (await regularFileSize(path)) - start;
    if (available < bytes) throw tooShort(path, `${Math.max(0, available)} bytes`, bytes);
  },
  async read(frame, segment) {
    const firstBit = frame * pixels;
    const bytes = await readBytes(path, start + Math.floor(firstBit / 8), Math.ceil(pixels / 8) + 1);
    const labels = new Uint8Array(pixels);
    for (let i = 0, bit = firstBit % 8; i < pixels; i++, bit++)
      if ((bytes[bit >> 3]! >> (bit & 7)) & 1) labels[i] = segment!;
    return labels;
  },
});

/** A fraction for each pixel. It must be 0 or 1, as in highdicom: choosing a threshold is up to the user. */
function fractionalLabels(path: string, file: DicomFile): Labels {
  const whole = file.dataset.number(TAGS.MaximumFractionalValue) ?? 255;
  const label = (value: number, segment: number) => {
    if (value !== 0 && value !== whole)
      throw unreadable(path, 'the segmentation holds probabilities', {
        got: `${value} of ${whole}`,
        expected: `a mask: 0 or ${whole} in each voxel`,
        fix: 'make a mask of it first, for example in Python with highdicom: segread(FILE).get_volume().array >= 0.5',
      });
    return value === 0 ? 0 : segment;
  };
  return storedLabels(path, file, label);
}

/** The number of a segment for each pixel. */
function labelMap(path: string, file: DicomFile): Labels {
  return storedLabels(path, file, (value) => {
    if (value > 255) throw unsupportedSegment(path, value);
    return value;
  });
}

function storedLabels(
  path: string,
  file: DicomFile,
  label: (value: number, segment: number) => number,
): Labels {
  const format = described(path, () => pixelFormat(file));
  return {
    check: (frames) => checkFrame(file.path, format, frames - 1),
    async read(frame, segment) {
      const values = await readFrame(file.path, format, frame);
      return Uint8Array.from(values, (value) => label(value, segment ?? 0));
    },
  };
}

const unsupportedSegment = (path: string, segment: number) =>
  unreadable(path, 'the segmentation has segments that are not supported', {
    got: `segment ${segment}`,
    expected: 'numbers from 1 to 255',
  });

/** The numbers of the segments that it says it has; a label map may list the background. */
const segmentsOf = (path: string, dataset: Dataset): number[] =>
  described(path, () =>
    dataset
      .items(TAGS.SegmentSequence)
      .map((segment) => segment.number(TAGS.SegmentNumber) ?? 0)
      .filter((segment) => segment > 0),
  );

/** What a header says. @throws UserError when the header is broken */
function described<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof NotScan) throw broken(path, error.message);
    if (error instanceof NeedsMoreBytes || error instanceof NotElements)
      throw broken(path, 'sequences that cannot be read');
    throw error;
  }
}

const broken = (path: string, got: string, expected?: string) =>
  unreadable(path, 'the segmentation is broken', { got, ...(expected && { expected }) });

function framesOf(path: string, dataset: Dataset): Frame[] {
  const isLabelMap = typeOf(dataset) === 'LABELMAP';
  const frames = described(path, () =>
    functionalGroups(dataset).map((groups): Frame => {
      const segment = isLabelMap
        ? null
        : (groups(TAGS.SegmentIdentificationSequence).number(TAGS.ReferencedSegmentNumber) ?? 0);
      if (segment !== null && (segment < 1 || segment > 255)) throw unsupportedSegment(path, segment);
      return { segment, ...placeOf(groups) };
    }),
  );
  const count = Number.parseInt(dataset.text(TAGS.NumberOfFrames) || '1', 10);
  if (frames.length === 0) throw unreadable(path, 'the segmentation has no frames');
  if (frames.length !== count) throw broken(path, `positions of ${frames.length} frames`, `of ${count}`);
  return frames;
}

/** Fraction of the spacing by which frames may be off the grid. */
const TOLERANCE = 0.1;

/** The grid of the frames, including empty planes, which files omit. */
function gridOf(path: string, frames: readonly Frame[], columns: number, rows: number): Grid {
  const { plane } = frames[0]!;
  const { alongRow, alongColumn, spacingBetweenSlices: stated } = plane;
  const normal = normalOf(plane);
  const sorted = [...frames].sort((a, b) => dot(a.position, normal) - dot(b.position, normal));
  const heights = sorted.map(({ position }) => dot(position, normal));
  const gaps = heights
    .slice(1)
    .flatMap((height, i) => (height - heights[i]! > 1e-3 ? [height - heights[i]!] : []));
  const least = Math.min(...gaps);
  // Planes without foreground may be left out of the file. A SliceThickness does not say how far apart they are.
  const isStated = stated > 0 && gaps.every((gap) => isMultiple(gap, stated));
  const spacing = gaps.length === 0 ? depthOf(plane) : isStated ? stated : least;
  if (!gaps.every((gap) => isMultiple(gap, spacing)))
    throw unreadable(path, 'the frames of the segmentation are unevenly spaced', {
      got: `gaps of ${[...new Set(gaps.map((gap) => gap.toFixed(2)))].slice(0, 5).join(', ')} mm`,
    });
  const depth = Math.round((heights.at(-1)! - heights[0]!) / spacing) + 1;
  const grid = checkedGrid(path, {
    size: [columns, rows, depth],
    spacing: [...plane.spacing, depth > 1 ? (heights.at(-1)! - heights[0]!) / (depth - 1) : spacing],
    origin: sorted[0]!.position,
    direction: [0, 1, 2].flatMap((world) => [alongRow[world]!, alongColumn[world]!, normal[world]!]),
  });
  const off = frames.find((frame) => {
    const [x, y] = worldToVoxel(grid, frame.position);
    return !isParallel(frame.plane, plane) || Math.max(Math.abs(x), Math.abs(y)) > TOLERANCE;
  });
  if (off)
    throw unreadable(path, 'the frames of the segmentation do not lie behind each other', {
      got: `a frame at ${off.position.map((mm) => mm.toFixed(2)).join(', ')} mm`,
      expected: 'frames of one size and orientation, as those of a scan',
    });
  return grid;
}

const isMultiple = (gap: number, spacing: number) =>
  Math.round(gap / spacing) >= 1 && Math.abs(gap / spacing - Math.round(gap / spacing)) <= TOLERANCE;

/** The same for the planes of a series: its slices may be as far off its grid, and frames off the slices. */
const PLANE_TOLERANCE = 2 * TOLERANCE;

/** Whether frames are planes of a grid. @param own grid of the frames */
function liesOn(frames: readonly Frame[], own: Grid, reference: Grid): boolean {
  const [x, y] = worldToVoxel(reference, own.origin);
  const same = own.direction.every((value, i) => Math.abs(value - reference.direction[i]!) < 1e-3);
  const planes = [0, 1].every(
    (i) => own.size[i] === reference.size[i] && Math.abs(own.spacing[i]! / reference.spacing[i]! - 1) < 1e-3,
  );
  const isPlane = ({ position }: Frame) => {
    const z = worldToVoxel(reference, position)[2];
    const nearest = Math.min(Math.max(Math.round(z), 0), reference.size[2] - 1);
    return Math.abs(z - nearest) < PLANE_TOLERANCE;
  };
  return same && planes && Math.abs(x) < TOLERANCE && Math.abs(y) < TOLERANCE && frames.every(isPlane);
}

interface Layer {
  readonly segment: number | null;
  /** Of the frame in the file. */
  readonly frame: number;
}

/** The frames of each plane of a grid. */
function planesOf(frames: readonly Frame[], grid: Grid): Layer[][] {
  const planes: Layer[][] = Array.from({ length: grid.size[2] }, () => []);
  frames.forEach(({ segment, position }, frame) => {
    const z = Math.round(worldToVoxel(grid, position)[2]);
    planes[z]?.push({ segment, frame });
  });
  return planes;
}

/** A plane of labels. @throws UserError where segments overlap */
async function readPlane(
  path: string,
  layers: readonly Layer[],
  pixels: number,
  labels: Labels,
): Promise<Uint8Array> {
  const plane = new Uint8Array(pixels);
  for (const { segment, frame } of layers) {
    const own = await labels.read(frame, segment);
    for (let i = 0; i < pixels; i++) {
      if (own[i] === 0) continue;
      if (plane[i] !== 0 && plane[i] !== own[i])
        throw unreadable(path, 'segments overlap', {
          got: `segments ${plane[i]} and ${own[i]}`,
          expected: 'at most one segment in each voxel',
          fix: 'save each of them as a segmentation of its own',
        });
      plane[i] = own[i]!;
    }
  }
  return plane;
}
