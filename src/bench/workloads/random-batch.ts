import type { Config } from '../../config/pretraining.js';
import { boxAround, type PartBatch } from '../../data/proxies/parts2whole/part-batch.js';
import { largestPart, partMatrices, samplePart } from '../../data/proxies/parts2whole/parts.js';
import type { Volume, XYZ } from '../../data/scan/volume.js';
import { cutTile } from '../../data/store/tiling.js';
import { type RandomStream, randomStream } from '../../random.js';

/** Where a box of this size fits into a scan. */
const placeIn = ({ size }: Volume, box: XYZ, random: RandomStream) =>
  size.map((length, axis) => random.integer(length - box[axis]! + 1)) as unknown as XYZ;

type Parts = Pick<PartBatch, 'box' | 'boxes' | 'depth' | 'height' | 'width' | 'intensity'>;

/** Boxes and matrices of random parts of given wholes, one a sample; the same for the same index. */
export function randomParts(config: Config, wholes: Int16Array<ArrayBuffer>, index: number): Parts {
  const random = randomStream(config.seed, 'random parts', index);
  const { whole: size, batch } = config;
  const voxels = wholes.length / batch;
  const box = largestPart(size, config.part);
  const boxVoxels = box[0] * box[1] * box[2];
  const parts = {
    boxes: new Int16Array(batch * boxVoxels),
    depth: new Float32Array(batch * size[2] * box[2]),
    height: new Float32Array(batch * size[1] * box[1]),
    width: new Float32Array(batch * box[0] * size[0]),
  };
  for (let i = 0; i < batch; i++) {
    const { start, inside } = boxAround(samplePart(random, size, config.part), box, size);
    const whole = { voxels: wholes.subarray(i * voxels, (i + 1) * voxels), size };
    cutTile(whole, start, box, parts.boxes.subarray(i * boxVoxels, (i + 1) * boxVoxels));
    const matrices = partMatrices(inside, box, size);
    for (const axis of ['depth', 'height', 'width'] as const)
      parts[axis].set(matrices[axis], i * matrices[axis].length);
  }
  return { box, intensity: null, ...parts };
}

/** A batch of wholes of a scan, or of noise, with a random part of each; the same for the same index. */
export function randomBatch(config: Config, index: number, scan?: Volume): PartBatch {
  const random = randomStream(config.seed, 'random batch', index);
  const [x, y, z] = config.whole;
  const { batch: size, whole } = config;
  const voxels = x * y * z;
  const wholes = new Int16Array(size * voxels);
  for (let i = 0; i < size; i++) {
    const tile = wholes.subarray(i * voxels, (i + 1) * voxels);
    if (scan) cutTile(scan, placeIn(scan, whole, random), whole, tile);
    else for (const at of tile.keys()) tile[at] = random.between(-1000, 1000);
  }
  const sizes = { tile: config.whole, whole: config.whole };
  const facts = { proxy: 'parts2whole', index, size, used: size, tiles: [] } as const;
  return { ...facts, ...sizes, wholes, ...randomParts(config, wholes, index) };
}
