import { cropImage } from '../../scan/crop.js';
import type { Volume, XYZ } from '../../scan/volume.js';
import { cutTile } from '../../store/tiling.js';
import type { HuWindow } from '../../store/wholes.js';
import type { Box } from './parts.js';

/**
 * A part of a tile, clipped to a window of HU and then resized trilinearly: half-pixel centres, edges repeated, as the
 * training graph does it by `partMatrices`.
 * @returns HU [D, H, W] of `size`
 */
export function resizedPart(
  tile: Pick<Volume, 'voxels' | 'size'>,
  { start, size: from }: Box,
  size: XYZ,
  { low, high }: HuWindow,
): Float32Array {
  const voxels = Float32Array.from(cutTile(tile, start, from), (hu) => Math.min(Math.max(hu, low), high));
  const step = from.map((n, axis) => n / size[axis]!) as unknown as XYZ;
  const first = step.map((s) => 0.5 * s - 0.5) as unknown as XYZ;
  return cropImage({ voxels, size: from }, { size, first, step }, null);
}
