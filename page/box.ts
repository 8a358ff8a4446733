/** Boxes in a scan, as numbers. */
import type { CropGrid } from '../src/data/scan/crop.js';
import type { Grid, XYZ } from '../src/data/scan/volume.js';
import type { Box } from './messages.js';
import type { ServedModel } from './served-model.js';

/** Voxels that a box has at least along each axis. */
const LEAST = 4;

const mapXYZ = (of: (axis: 0 | 1 | 2) => number): XYZ => [of(0), of(1), of(2)];

/** Share of a whole's sides that a part has, as the mean in training; 1 where a network saw no parts. */
function sideOf(part: string | undefined): number {
  if (part === undefined) return 1;
  const { scale } = JSON.parse(part) as { scale: [number, number] };
  return Math.cbrt((scale[0] + scale[1]) / 2);
}

/** A part in the middle of a scan, as large as those that a network saw in training. */
export function firstBox({ size, spacing }: Grid, model: ServedModel): Box {
  const side = sideOf(model.metadata.part);
  const length = mapXYZ((i) => {
    const voxels = model.window[i] * (model.spacing ? model.spacing[i] / spacing[i] : 1);
    return Math.min(size[i], Math.max(LEAST, Math.round(voxels * side)));
  });
  const low = mapXYZ((i) => Math.floor((size[i] - length[i]) / 2));
  return { low, high: mapXYZ((i) => low[i] + length[i]) };
}

/** The box with one face moved, no further than the scan and the face opposite allow. */
export function withFace(box: Box, size: XYZ, axis: 0 | 1 | 2, face: 'low' | 'high', to: number): Box {
  const least = face === 'low' ? 0 : Math.min(box.low[axis] + LEAST, size[axis]);
  const most = face === 'high' ? size[axis] : Math.max(box.high[axis] - LEAST, 0);
  const place = Math.min(Math.max(Math.round(to), least), most);
  return { ...box, [face]: mapXYZ((i) => (i === axis ? place : box[face][i])) };
}

/** The box elsewhere in the scan, whole. @param by voxels */
export function moved(box: Box, size: XYZ, by: XYZ): Box {
  const step = mapXYZ((i) => Math.min(Math.max(Math.round(by[i]), -box.low[i]), size[i] - box.high[i]));
  return { low: mapXYZ((i) => box.low[i] + step[i]), high: mapXYZ((i) => box.high[i] + step[i]) };
}

/** First and last voxel. */
export const voxelsOf = ({ low, high }: Box): number[] => [...low, ...high.map((face) => face - 1)];

/** A grid of so many voxels that fills a box. */
export function gridOfBox({ low, high }: Box, size: XYZ): CropGrid {
  const step = mapXYZ((i) => (high[i] - low[i]) / size[i]);
  // Half-pixel centres, as parts are resized in training.
  return { size, step, first: mapXYZ((i) => low[i] + (step[i] - 1) / 2) };
}

/** The box around a part whose share of it is the mean in training; the part itself where there were no parts. */
export function wholeAround({ low, high }: Box, part: string | undefined): Box {
  const side = sideOf(part);
  const middle = mapXYZ((i) => (low[i] + high[i]) / 2);
  const half = mapXYZ((i) => (high[i] - low[i]) / 2 / side);
  return { low: mapXYZ((i) => middle[i] - half[i]), high: mapXYZ((i) => middle[i] + half[i]) };
}
