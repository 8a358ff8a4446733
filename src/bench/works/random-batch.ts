import type { Config } from '../../config.js';
import type { Batch } from '../../data/loader.js';
import { partMatrices, samplePart } from '../../data/parts.js';
import { randomStream } from '../../random.js';

/** The matrices of random parts, one a sample; the same for the same index. */
export function randomParts(config: Config, index: number): Pick<Batch, 'depth' | 'height' | 'width'> {
  const random = randomStream(config.seed, 'random parts', index);
  const samples = Array.from({ length: config.batch }, () =>
    partMatrices(samplePart(random, config.whole, config.part), config.whole, config.whole),
  );
  const join = (axis: 'depth' | 'height' | 'width') => {
    const { length } = samples[0]![axis];
    const joined = new Float32Array(config.batch * length);
    for (const [i, matrices] of samples.entries()) joined.set(matrices[axis], i * length);
    return joined;
  };
  return { depth: join('depth'), height: join('height'), width: join('width') };
}

/** A batch of wholes of noise, with a random part of each; the same for the same index. */
export function randomBatch(config: Config, index: number): Batch {
  const random = randomStream(config.seed, 'random batch', index);
  const [x, y, z] = config.whole;
  const size = config.batch;
  return {
    ...randomParts(config, index),
    index,
    size,
    used: size,
    tiles: [],
    wholes: Int16Array.from({ length: size * x * y * z }, () => random.between(-1000, 1000)),
    tile: config.whole,
    whole: config.whole,
  };
}
