import type { Config } from '../../config/pretraining.js';
import { boxAround, type PartBatch } from '../../data/part-batch.js';
import { largestPart, partMatrices, samplePart } from '../../data/parts.js';
import { cutTile } from '../../data/tiling.js';
import { randomStream } from '../../random.js';

type Parts = Pick<PartBatch, 'box' | 'boxes' | 'depth' | 'height' | 'width'>;

/** Boxes and matrices of random parts of given wholes, one a sample; the same for the same index. */
export function randomParts(config: Config, wholes: Int16Array<ArrayBuffer>, index: number): Parts {
  const random = randomStream(config.seed, 'random parts', index);
  const { whole: size, batch } = config;
  const voxels = wholes.length / batch;
  const box = largestPart(size, config.part);
  const samples = Array.from({ length: batch }, (_, i) => {
    const { start, inside } = boxAround(samplePart(random, size, config.part), box, size);
    const whole = { voxels: wholes.subarray(i * voxels, (i + 1) * voxels), size };
    return { boxes: cutTile(whole, start, box), ...partMatrices(inside, box, size) };
  });
  const join = <K extends 'boxes' | 'depth' | 'height' | 'width'>(key: K, joined: Parts[K]): Parts[K] => {
    for (const [i, sample] of samples.entries()) joined.set(sample[key], i * sample[key].length);
    return joined;
  };
  const count = (key: 'boxes' | 'depth' | 'height' | 'width') => batch * samples[0]![key].length;
  return {
    box,
    boxes: join('boxes', new Int16Array(count('boxes'))),
    depth: join('depth', new Float32Array(count('depth'))),
    height: join('height', new Float32Array(count('height'))),
    width: join('width', new Float32Array(count('width'))),
  };
}

/** A batch of wholes of noise, with a random part of each; the same for the same index. */
export function randomBatch(config: Config, index: number): PartBatch {
  const random = randomStream(config.seed, 'random batch', index);
  const [x, y, z] = config.whole;
  const size = config.batch;
  const wholes = Int16Array.from({ length: size * x * y * z }, () => random.between(-1000, 1000));
  const sizes = { tile: config.whole, whole: config.whole };
  const facts = { proxy: 'parts2whole', index, size, used: size, tiles: [] } as const;
  return { ...facts, ...sizes, wholes, ...randomParts(config, wholes, index) };
}
