import type { CropGrid } from '../data/scan/crop.js';
import type { XYZ } from '../data/scan/volume.js';
import type { Tensors } from '../runtime/engine.js';
import type { ImageModel } from './image-model.js';
import type { ReadGrid } from './scan-grid.js';

/** A function that reads windows and runs the model on them, a batch at once. */
export function windowRunner(
  model: Pick<ImageModel, 'channels' | 'run'>,
  read: ReadGrid,
  { window: [w, h, d], batch }: { readonly window: XYZ; readonly batch: number },
): (grids: readonly CropGrid[]) => Promise<Tensors> {
  const voxels = w * h * d;
  const shape = model.channels === null ? [batch, d, h, w] : [batch, 1, d, h, w];
  let values: Int16Array | Float32Array | undefined;
  return (grids) => {
    for (const [n, grid] of grids.entries()) {
      const image = read(grid);
      // What an incomplete batch does not fill keeps what was there: a session for each number of windows would take longer.
      values ??=
        image instanceof Int16Array ? new Int16Array(batch * voxels) : new Float32Array(batch * voxels);
      values.set(image, n * voxels);
    }
    return model.run(values!, shape);
  };
}
