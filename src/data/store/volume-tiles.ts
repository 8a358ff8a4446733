import { UserError } from '../../errors.js';
import { orientLPS } from '../scan/geometry.js';
import { unlikeHounsfield } from '../scan/hounsfield.js';
import { type Normalisation, normaliseVolume } from '../scan/normalise.js';
import type { Volume, XYZ } from '../scan/volume.js';
import type { TileSource } from './tile-source.js';
import { cutTile, isRejected, tileOrigins } from './tiling.js';

/** One tile of so many is for validation. */
const VALIDATION_SHARE = 8;

/** Tiles of a scan in memory. */
const source = (volume: Volume, size: XYZ, origins: readonly XYZ[]): TileSource => ({
  size,
  count: origins.length,
  read: (tile, target) => cutTile(volume, origins[tile]!, size, target),
});

/**
 * Cuts a scan into tiles that stay in memory, where they are of HU without those of (almost) only air; every eighth is
 * for validation, and of few the last one.
 * @param size voxels of a tile along x, y, z
 * @throws UserError of kind `input` when fewer than two tiles are left, or the values do not look like HU
 */
export function tilesOfVolume(
  scan: Volume,
  size: XYZ,
  normalise: Normalisation,
): { readonly training: TileSource; readonly validation: TileSource } {
  const look = normalise === 'hu' ? unlikeHounsfield(scan) : null;
  if (look !== null)
    throw new UserError('input', {
      what: 'the values of this scan do not look like HU: there is no air or fat',
      got: look,
      expected: 'a CT in HU: air at −1000, water at 0',
      fix: 'for other modalities, set normalise=minmax or normalise=zscore',
    });
  const volume = normaliseVolume(orientLPS(scan), normalise, 'the scan');
  const reject = normalise === 'hu' ? 'air' : 'none';
  const all = tileOrigins(volume.size, { size, zBorder: 0, xyBorder: 0, reject });
  const kept = all.filter((origin) => !isRejected(cutTile(volume, origin, size), reject));
  if (kept.length < 2)
    throw new UserError('input', {
      what: 'too little of this scan can be used for training',
      got: `${volume.size.join('×')} voxels, ${kept.length} tiles of ${size.join('×')} that are not all air`,
      expected: 'at least two tiles: one to train on, one for validation',
    });
  const eighths = kept.filter((_, i) => i % VALIDATION_SHARE === VALIDATION_SHARE / 2);
  const validation = eighths.length > 0 ? eighths : kept.slice(-1);
  const training = kept.filter((origin) => !validation.includes(origin));
  return { training: source(volume, size, training), validation: source(volume, size, validation) };
}
