import { readWhole } from '../../store/wholes.js';
import type { BatchFacts, ProxyTask } from '../proxy.js';
import { corrupt } from './corrupt.js';

/** Samples of Models Genesis: corrupted wholes, and the wholes to restore. */
export interface CorruptedBatch extends BatchFacts {
  readonly proxy: 'genesis';
  /** In [0, 1], [N, D, H, W]. */
  readonly corrupted: Float32Array<ArrayBuffer>;
  /** In [0, 1], [N, D, H, W]. */
  readonly targets: Float32Array<ArrayBuffer>;
}

export const genesis: ProxyTask<CorruptedBatch> = {
  stream: 'genesis',
  load(source, _, { wholeSize, window }, planned, index) {
    const size = planned.length;
    const voxels = wholeSize[0] * wholeSize[1] * wholeSize[2];
    const corrupted = new Float32Array(size * voxels);
    const targets = new Float32Array(size * voxels);
    planned.forEach(({ tile, random }, i) => {
      const whole = readWhole(source, tile, wholeSize, window);
      const made = corrupt(whole, wholeSize, random);
      corrupted.set(made.corrupted, i * voxels);
      targets.set(made.target, i * voxels);
    });
    const tiles = planned.map(({ tile }) => tile);
    return { proxy: 'genesis', index, size, used: size, tiles, whole: wholeSize, corrupted, targets };
  },
};
