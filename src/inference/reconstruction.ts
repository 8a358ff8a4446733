/** What an autoencoder makes of whole scans. */
import * as z from 'zod';
import type { CropGrid } from '../data/scan/crop.js';
import type { Grid, Volume, XYZ } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import type { ImageModel } from './image-model.js';
import type { ModelScan } from './model-scan.js';
import { onScan, predictScan, type Windows } from './predict-scan.js';
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

/** The middle of a window with the given share of its sides, on a grid of as many voxels. */
export const middlePart = ({ size, first, step }: CropGrid, side: number): CropGrid => ({
  size,
  // Half-pixel centres, as parts are resized in training.
  first: first.map(
    (place, i) => place + step[i]! * ((size[i]! * (1 - side) + side - 1) / 2),
  ) as unknown as XYZ,
  step: step.map((length) => length * side) as unknown as XYZ,
});

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
    read: (grid) => scan.read(middlePart(grid, side)),
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
