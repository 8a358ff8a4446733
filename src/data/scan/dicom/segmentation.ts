/** DICOM segmentations as masks: each voxel has the number of its segment, or 0. */

import { worldToVoxel } from '../geometry.js';
import { checkedGrid, type StoredScan } from '../scan.js';
import { unreadable } from '../unreadable.js';
import type { Grid, XYZ } from '../volume.js';
import type { DicomScan } from './catalogue.js';
import type { Dataset } from './dataset.js';
import { openDicomFile } from './file.js';
import { functionalGroups } from './functional-groups.js';
import { depthOf, dot, isParallel, normalOf, type Plane, placeOf } from './plane.js';
import { broken, described, type Labels, labelsOf, typeOf, unsupportedSegment } from './segment-labels.js';
import { TAGS } from './tags.js';

/** A plane of one segment, or of several in a label map. */
interface Frame {
  /** Null in a label map, whose pixels are numbers of segments. */
  readonly segment: number | null;
  readonly position: XYZ;
  readonly plane: Plane;
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

/** The numbers of the segments that it says it has; a label map may list the background. */
const segmentsOf = (path: string, dataset: Dataset): number[] =>
  described(path, () =>
    dataset
      .items(TAGS.SegmentSequence)
      .map((segment) => segment.number(TAGS.SegmentNumber) ?? 0)
      .filter((segment) => segment > 0),
  );

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
