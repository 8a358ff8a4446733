import type { BatchFacts, PlannedTile } from '../../loading/batches.js';
import type { XYZ } from '../../scan/volume.js';
import type { TileSource } from '../../store/tile-source.js';
import { type HuWindow, readWhole } from '../../store/wholes.js';
import { corrupt } from './corrupt.js';

/** Samples of Models Genesis: corrupted wholes, and the wholes to restore. */
export interface CorruptedBatch extends BatchFacts {
  readonly proxy: 'genesis';
  /** In [0, 1], [N, D, H, W]. */
  readonly corrupted: Float32Array<ArrayBuffer>;
  /** In [0, 1], [N, D, H, W]. */
  readonly targets: Float32Array<ArrayBuffer>;
}

/** Reads planned tiles and corrupts them. @throws UserError of kind `data` when one cannot be read */
export function loadCorrupted(
  source: TileSource,
  { wholeSize, window }: { readonly wholeSize: XYZ; readonly window: HuWindow },
  samples: readonly PlannedTile[],
  index: number,
): CorruptedBatch {
  const size = samples.length;
  const voxels = wholeSize[0] * wholeSize[1] * wholeSize[2];
  const corrupted = new Float32Array(size * voxels);
  const targets = new Float32Array(size * voxels);
  samples.forEach(({ tile, random }, i) => {
    const whole = readWhole(source, tile, wholeSize, window);
    const made = corrupt(whole, wholeSize, random);
    corrupted.set(made.corrupted, i * voxels);
    targets.set(made.target, i * voxels);
  });
  const tiles = samples.map(({ tile }) => tile);
  return { proxy: 'genesis', index, size, used: size, tiles, whole: wholeSize, corrupted, targets };
}
