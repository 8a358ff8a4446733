/** What an autoencoder makes of whole scans. */
import * as z from 'zod';
import type { Box } from '../data/proxies/parts2whole/parts.js';
import { resizedPart } from '../data/proxies/parts2whole/resized-part.js';
import type { Grid, Volume, XYZ } from '../data/scan/volume.js';
import { repeatVoxels } from '../data/store/block-mean.js';
import { UserError } from '../errors.js';
import type { ImageModel } from './image-model.js';
import type { ModelScan } from './model-scan.js';
import { onScan, predictScan, type Windows } from './predict-scan.js';
import { partOfGrid, type ReadGrid } from './scan-grid.js';
import { placePlane, storedOrder } from './stored-order.js';

/** On the grid of the scan's file, or the one that it was straightened onto. */
export interface Reconstruction {
  /** In the values that the model takes, int16: HU, or thousandths of what it was normalised by. */
  readonly image: Volume;
  /** Absolute difference to the scan at each voxel, as a share of the model's window. */
  readonly errors: Volume;
  /** Means over all voxels. */
  readonly meanAbsoluteError: number;
  readonly meanSquaredError: number;
}

const partSchema = z.object({ scale: z.tuple([z.number().positive().max(1), z.number().positive().max(1)]) });

/**
 * The side of a part as a share of its whole, of the mean size in training; 1 for a model that was not trained on parts.
 * @throws UserError when what the model says of its parts is damaged
 */
export function partSide({ metadata, path }: ImageModel): number {
  if (metadata.part === undefined) return 1;
  try {
    const { scale } = partSchema.parse(JSON.parse(metadata.part));
    return Math.cbrt((scale[0] + scale[1]) / 2);
  } catch (cause) {
    throw new UserError('input', {
      what: 'the metadata of the model are damaged: part',
      where: path,
      got: metadata.part,
      cause,
    });
  }
}

/** The box in the middle of a window that has the given share of its sides, as near as whole voxels allow. */
export function middlePart(window: XYZ, side: number): Box {
  const size = window.map((length) => Math.max(1, Math.round(length * side))) as unknown as XYZ;
  return { size, start: window.map((length, i) => Math.floor((length - size[i]!) / 2)) as unknown as XYZ };
}

/** Reads of each window what training shows of a tile: the part in its middle, clipped and resized to a whole. */
function partReader({ window, average }: ImageModel, { read }: ModelScan, side: number): ReadGrid {
  return (grid) => {
    const { start, size } = middlePart(grid.size, side);
    const whole = grid.size.map((length, i) => length / average[i]!) as unknown as XYZ;
    const box = { voxels: read(partOfGrid(grid, start, size)), size };
    return repeatVoxels(resizedPart(box, { start: [0, 0, 0], size }, whole, window), whole, average);
  };
}

/**
 * Has each window of a scan reconstructed: from the part in its middle, of the mean size in training, where the model was trained to redraw
 * wholes from parts, or else from the window itself. Where windows overlap, their weighted mean counts.
 */
export async function reconstructScan(
  model: ImageModel,
  scan: ModelScan,
  windows: Windows,
  onWindows?: (done: number, total: number) => void,
): Promise<Reconstruction> {
  const { volume, stored } = scan;
  const { size } = volume;
  const { low, high } = model.window;
  const side = partSide(model);
  const predicted = predictScan(model, scan, {
    ...{ windows, output: 'reconstruction', stride: model.average },
    ...(side < 1 && { read: partReader(model, scan, side) }),
    ...(onWindows && { onWindows }),
  });
  const order = storedOrder(volume, stored);
  const image = new Int16Array(volume.voxels.length);
  const errors = new Float32Array(volume.voxels.length);
  let [absolute, squared] = [0, 0];
  for await (const { z, values } of onScan(predicted, scan)) {
    const seen = scan.read({ size: [size[0], size[1], 1], first: [0, 0, z], step: [1, 1, 1] });
    placePlane(image, order, size, z, (i) => Math.round(low + values[i]! * (high - low)));
    placePlane(errors, order, size, z, (i) => {
      const error = Math.abs(values[i]! - (Math.min(Math.max(seen[i]!, low), high) - low) / (high - low));
      absolute += error;
      squared += error * error;
      return error;
    });
  }
  const grid: Grid = stored;
  return {
    image: { ...grid, voxels: image },
    errors: { ...grid, voxels: errors },
    meanAbsoluteError: absolute / errors.length,
    meanSquaredError: squared / errors.length,
  };
}
