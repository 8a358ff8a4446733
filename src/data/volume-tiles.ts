import { UserError } from '../errors.js';
import { orientLPS } from './geometry.js';
import type { TileSource } from './tile-source.js';
import { cutTile, isRejected, tileOrigins } from './tiling.js';
import type { Volume, XYZ } from './volume.js';

/** One tile of so many is for validation. */
const VALIDATION_SHARE = 8;

/** Tiles of a scan in memory. */
const source = (volume: Volume, size: XYZ, origins: readonly XYZ[]): TileSource => ({
  size,
  count: origins.length,
  read: (tile, target) => cutTile(volume, origins[tile]!, size, target),
});

/**
 * Cuts a scan into tiles that stay in memory, those of (almost) only air left out; every eighth is for validation.
 * @param size voxels of a tile along x, y, z
 * @throws UserError of kind `input` when fewer than two tiles are left
 */
export function tilesOfVolume(
  scan: Volume,
  size: XYZ,
): { readonly training: TileSource; readonly validation: TileSource } {
  const volume = orientLPS(scan);
  const all = tileOrigins(volume.size, { size, zBorder: 0, xyBorder: 0, reject: 'air' });
  const kept = all.filter((origin) => !isRejected(cutTile(volume, origin, size), 'air'));
  if (kept.length < 2)
    throw new UserError('input', {
      what: 'too little of this scan can be trained on',
      got: `${volume.size.join('×')} voxels, ${kept.length} tiles of ${size.join('×')} that are not only air`,
      expected: 'two or more, of Hounsfield units',
    });
  const validation = kept.filter((_, i) => i % VALIDATION_SHARE === VALIDATION_SHARE / 2);
  const training = kept.filter((origin) => !validation.includes(origin));
  return {
    training: source(volume, size, training),
    validation: source(volume, size, validation.length > 0 ? validation : training.slice(-1)),
  };
}
