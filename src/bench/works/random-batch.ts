import type { Config } from '../../config.js';
import type { Batch } from '../../data/loader.js';
import { partMatrices, samplePart } from '../../data/parts.js';
import { randomStream } from '../../random.js';

/** A batch of wholes of noise, with a random part of each; the same for the same index. */
export function randomBatch(config: Config, index: number): Batch {
  const random = randomStream(config.seed, 'random batch', index);
  const [x, y, z] = config.whole;
  const size = config.batch;
  const samples = Array.from({ length: size }, () =>
    partMatrices(samplePart(random, config.whole, config.part), config.whole, config.whole),
  );
  const join = (axis: 'depth' | 'height' | 'width') =>
    Float32Array.from(samples.flatMap((matrices) => [...matrices[axis]]));
  return {
    index,
    size,
    used: size,
    tiles: [],
    wholes: Int16Array.from({ length: size * x * y * z }, () => random.between(-1000, 1000)),
    depth: join('depth'),
    height: join('height'),
    width: join('width'),
    tile: config.whole,
    whole: config.whole,
  };
}
