/** DICOM segmentations as masks: the number of its segment in each voxel. */
import { readBytes, regularFileSize } from '../file.js';
import { checkedGrid, firstThree, type StoredScan } from '../scan.js';
import { tooShort, unreadable } from '../unreadable.js';
import type { Grid, XYZ } from '../volume.js';
import type { DicomScan } from './catalogue.js';
import { type Dataset, NeedsMoreBytes, NotElements } from './dataset.js';
import { type DicomFile, openDicomFile } from './file.js';

/** A plane of one segment. */
interface Frame {
  readonly segment: number;
  readonly position: XYZ;
  readonly alongRow: XYZ;
  readonly alongColumn: XYZ;
  readonly spacing: readonly [number, number];
  /** Between planes, in mm; NaN where it is not said. */
  readonly between: number;
}

const dot = (a: XYZ, b: XYZ) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/**
 * Reads the header of a segmentation.
 * @param reference grid of the series that it was drawn on, where that is at hand: it is put onto that grid
 * @throws UserError when its segments overlap, or are no binary masks
 */
export async function openSegmentation(
  path: string,
  { files }: DicomScan,
  reference?: Grid,
): Promise<StoredScan> {
  const file = (await openDicomFile(files[0]!.path))!;
  const { dataset } = file;
  const [columns, rows] = [dataset.number(0x00280011) ?? 0, dataset.number(0x00280010) ?? 0];
  checkKind(path, file);
  const frames = framesOf(path, dataset);
  const own = gridOf(path, frames, columns, rows);
  const grid = reference && liesOn(own, reference) ? reference : own;
  const start = file.pixels!.start;
  return {
    format: 'DICOM segmentation',
    elementType: 'uint8',
    grid,
    fields: {
      frames: String(frames.length),
      segments: [...new Set(frames.map(({ segment }) => segment))].sort((a, b) => a - b).join(', '),
    },
    ...{ littleEndian: true, slope: 1, intercept: 0 },
    files: files.map((instance) => instance.path),
    blocks: [
      {
        path: file.path,
        async check() {
          const bytes = Math.ceil((frames.length * columns * rows) / 8);
          const available = (await regularFileSize(file.path)) - start;
          if (available < bytes) throw tooShort(file.path, `${Math.max(0, available)} bytes`, bytes);
        },
        async *read() {
          for (const plane of planesOf(frames, grid))
            yield await readPlane(file.path, start, plane, columns * rows);
        },
      },
    ],
  };
}

function checkKind(path: string, { dataset, syntax, pixels, flaw }: DicomFile): void {
  const type = dataset.text(0x00620001) || 'BINARY';
  const bits = dataset.number(0x00280100);
  const expected = 'binary segments of one bit a voxel, not compressed';
  const fix = 'convert it to NIfTI or NRRD with another program, for example segimage2itkimage of dcmqi';
  if (flaw !== null || !pixels)
    throw unreadable(path, 'the segmentation is broken', { got: flaw ?? 'no pixels' });
  if (type !== 'BINARY' || bits !== 1 || syntax?.codec || syntax?.deflated)
    throw unreadable(path, 'segmentations of this kind are not supported', {
      got: `${type.slice(0, 20)}, ${bits} bits, ${syntax?.name}`,
      ...{ expected, fix },
    });
}

function framesOf(path: string, dataset: Dataset): Frame[] {
  try {
    const shared = dataset.item(0x52009229);
    return dataset.items(0x52009230).map((frame) => {
      const group = (sequence: number) => frame.item(sequence) ?? shared?.item(sequence) ?? dataset;
      const position = group(0x00209113).decimals(0x00200032);
      const orientation = group(0x00209116).decimals(0x00200037);
      const measures = group(0x00289110);
      const [betweenRows, betweenColumns] = measures.decimals(0x00280030);
      const numbers = [...position, ...orientation, betweenRows ?? Number.NaN, betweenColumns ?? Number.NaN];
      if (numbers.length !== 11 || !numbers.every(Number.isFinite))
        throw unreadable(path, 'a frame of the segmentation has no position, orientation or pixel spacing');
      return {
        segment: group(0x0062000a).number(0x0062000b) ?? 0,
        position: firstThree(position),
        alongRow: firstThree(orientation),
        alongColumn: firstThree(orientation.slice(3)),
        spacing: [betweenColumns!, betweenRows!],
        between: Number(measures.text(0x00180088) || measures.text(0x00180050) || Number.NaN),
      };
    });
  } catch (error) {
    if (!(error instanceof NeedsMoreBytes || error instanceof NotElements)) throw error;
    throw unreadable(path, 'the sequences of the segmentation are broken');
  }
}

const normalOf = ({ alongRow: a, alongColumn: b }: Frame): XYZ => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** Share of the spacing by which frames may be off the grid. */
const TOLERANCE = 0.1;

/** The grid of the frames: planes without a segment, which files leave out, are in it. */
function gridOf(path: string, frames: readonly Frame[], columns: number, rows: number): Grid {
  const [first] = frames;
  if (!first) throw unreadable(path, 'the segmentation has no frames');
  if (frames.some(({ segment }) => segment < 1 || segment > 255))
    throw unreadable(path, 'a frame is of no segment from 1 to 255');
  const normal = normalOf(first);
  const sorted = [...frames].sort((a, b) => dot(a.position, normal) - dot(b.position, normal));
  const heights = sorted.map(({ position }) => dot(position, normal));
  const gaps = heights
    .slice(1)
    .flatMap((height, i) => (height - heights[i]! > 1e-3 ? [height - heights[i]!] : []));
  const least = Math.min(...gaps);
  const stated = first.between;
  const isStated = stated > 0 && gaps.every((gap) => isMultiple(gap, stated));
  const spacing = gaps.length === 0 || isStated ? (stated > 0 ? stated : 1) : least;
  if (!gaps.every((gap) => isMultiple(gap, spacing)))
    throw unreadable(path, 'the frames of the segmentation are unevenly spaced', {
      got: `gaps of ${[...new Set(gaps.map((gap) => gap.toFixed(2)))].slice(0, 5).join(', ')} mm`,
    });
  const depth = Math.round((heights.at(-1)! - heights[0]!) / spacing) + 1;
  return checkedGrid(path, {
    size: [columns, rows, depth],
    spacing: [...first.spacing, depth > 1 ? (heights.at(-1)! - heights[0]!) / (depth - 1) : spacing],
    origin: sorted[0]!.position,
    direction: [0, 1, 2].flatMap((world) => [
      first.alongRow[world]!,
      first.alongColumn[world]!,
      normal[world]!,
    ]),
  });
}

const isMultiple = (gap: number, spacing: number) =>
  Math.round(gap / spacing) >= 1 && Math.abs(gap / spacing - Math.round(gap / spacing)) <= TOLERANCE;

/** Where a grid's first voxel is on another one, in voxels. */
function firstVoxel(grid: Grid, other: Grid): XYZ {
  const offset = grid.origin.map((mm, i) => mm - other.origin[i]!);
  const { direction: d, spacing } = other;
  const along = (axis: number) => offset.reduce((sum, mm, world) => sum + mm * d[3 * world + axis]!, 0);
  return firstThree([0, 1, 2].map((axis) => along(axis) / spacing[axis]!));
}

/** Whether planes of a grid are some of those of another one. */
function liesOn(own: Grid, reference: Grid): boolean {
  const [x, y, z] = firstVoxel(own, reference);
  const same = own.direction.every((value, i) => Math.abs(value - reference.direction[i]!) < 1e-3);
  const steps = own.size[2] === 1 ? 0 : (own.spacing[2] / reference.spacing[2]) * (own.size[2] - 1);
  const within = z > -TOLERANCE && z + steps < reference.size[2] - 1 + TOLERANCE;
  const planes = [0, 1].every(
    (i) => own.size[i] === reference.size[i] && Math.abs(own.spacing[i]! / reference.spacing[i]! - 1) < 1e-3,
  );
  return same && planes && within && Math.abs(x) < TOLERANCE && Math.abs(y) < TOLERANCE;
}

interface Layer {
  readonly segment: number;
  /** Of the frame in the file. */
  readonly index: number;
}

/** The frames of each plane of a grid. */
function planesOf(frames: readonly Frame[], grid: Grid): Layer[][] {
  const planes: Layer[][] = Array.from({ length: grid.size[2] }, () => []);
  frames.forEach(({ segment, position }, index) => {
    const z = Math.round(firstVoxel({ ...grid, origin: position }, grid)[2]);
    planes[z]?.push({ segment, index });
  });
  return planes;
}

/** A plane of labels. */
async function readPlane(
  path: string,
  start: number,
  layers: readonly Layer[],
  pixels: number,
): Promise<Uint8Array> {
  const labels = new Uint8Array(pixels);
  for (const { segment, index } of layers) {
    // Frames follow one another bit by bit: only some begin at a byte.
    const firstBit = index * pixels;
    const bytes = await readBytes(path, start + Math.floor(firstBit / 8), Math.ceil(pixels / 8) + 1);
    for (let i = 0, bit = firstBit % 8; i < pixels; i++, bit++) {
      if (((bytes[bit >> 3]! >> (bit & 7)) & 1) === 0) continue;
      if (labels[i] !== 0 && labels[i] !== segment)
        throw unreadable(path, 'segments overlap', {
          got: `segments ${labels[i]} and ${segment}`,
          expected: 'at most one segment in each voxel',
          fix: 'save each of them as a segmentation of its own',
        });
      labels[i] = segment;
    }
  }
  return labels;
}
