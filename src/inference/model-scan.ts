/** A scan as a model sees it: on the model's grid, in the values that it was trained on. */
import type { CropGrid } from '../data/scan/crop.js';
import { orientLPS } from '../data/scan/geometry.js';
import { checkHounsfield, unlikeHounsfield } from '../data/scan/hounsfield.js';
import { readVolume } from '../data/scan/index.js';
import { MAX_VOXELS, voxelCount } from '../data/scan/scan.js';
import type { Grid, Volume } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import type { ImageModel } from './image-model.js';
import { gridOfSpacing, type ReadGrid, readerOf } from './scan-grid.js';

/** A scan in memory, ready for a model. */
export interface ModelScan {
  /** The grid of the file, or the one that it was straightened onto: what results are brought back to. */
  readonly stored: Grid;
  /** The scan with its axes along left, posterior, superior, in its own values. */
  readonly volume: Volume;
  /** The voxels that the model sees, in voxels of `volume`. */
  readonly grid: CropGrid;
  readonly read: ReadGrid;
}

/**
 * Reads a scan for a model.
 * @param note is told when the scan had to be straightened, or its values do not look like what the model takes
 * @throws UserError when it cannot be read, or its values cannot be what the model takes
 */
export async function readModelScan(
  path: string,
  model: Pick<ImageModel, 'normalise' | 'channels' | 'spacing'>,
  note: (line: string) => void,
): Promise<ModelScan> {
  const stored = await readVolume(path);
  if (stored.resampled) note(`${path}: ${stored.resampled}`);
  if (model.normalise === 'hu') {
    checkHounsfield(stored, path, true);
    const look = unlikeHounsfield(stored);
    if (look !== null)
      note(
        `${path}: warning: these values do not look like HU, which the model takes, and without which its results mean nothing: ${look}`,
      );
  }
  const volume = orientLPS(stored);
  const { size, spacing, origin, direction } = stored;
  const grid = gridOfSpacing(volume, model.spacing);
  if (voxelCount(grid.size) > MAX_VOXELS)
    throw new UserError('input', {
      what: 'at the spacing that the model takes, this scan has too many voxels',
      where: path,
      got: `${grid.size.join('×')} voxels, of ${spacing.join('×')} mm in the file`,
      expected: `at most ${MAX_VOXELS}`,
      fix: 'correct the spacing of the file',
    });
  return {
    stored: { size, spacing, origin, direction },
    volume,
    grid,
    read: readerOf(volume, model, path),
  };
}
