import type { XYZ } from '../../scan/volume.js';
import type { TileSource } from '../../store/tile-source.js';
import { cutTile } from '../../store/tiling.js';
import type { BatchFacts, ProxyTask } from '../proxy.js';
import { drawIntensity, type IntensityChange, SAME_INTENSITY } from './intensity.js';
import { type Box, largestPart, type PartOptions, partMatrices, samplePart } from './parts.js';

/** Samples of Parts2Whole: tiles, and for each a box of it with the matrices that cut a part out and resize it. */
export interface PartBatch extends BatchFacts {
  readonly proxy: 'parts2whole';
  /** Voxels of a tile, W₀ × H₀ × D₀. */
  readonly tile: XYZ;
  /** Voxels of the box around a part, W₁ × H₁ × D₁. */
  readonly box: XYZ;
  /** HU [N, D₀, H₀, W₀] */
  readonly wholes: Int16Array<ArrayBuffer>;
  /** HU [N, D₁, H₁, W₁]: of each tile a box that holds the part. */
  readonly boxes: Int16Array<ArrayBuffer>;
  /** [N, D, D₁] */
  readonly depth: Float32Array<ArrayBuffer>;
  /** [N, H, H₁] */
  readonly height: Float32Array<ArrayBuffer>;
  /** [N, W₁, W] */
  readonly width: Float32Array<ArrayBuffer>;
  /** [N, 3]: gamma, gain, shift; null where intensities stay as they are. */
  readonly intensity: Float32Array<ArrayBuffer> | null;
}

/** A tile, and a part of it. */
export interface PartSample {
  readonly tile: number;
  readonly part: Box;
  /** Its intensities stay as they are without it. */
  readonly intensity?: IntensityChange;
}

const voxelsOf = ([x, y, z]: XYZ) => x * y * z;

/** Where a box of a fixed size lies that holds a part, and the part's place in it. */
export function boxAround(part: Box, size: XYZ, tile: XYZ): { start: XYZ; inside: Box } {
  const start = part.start.map((s, axis) => Math.min(s, tile[axis]! - size[axis]!)) as unknown as XYZ;
  const place = part.start.map((s, axis) => s - start[axis]!) as unknown as XYZ;
  return { start, inside: { start: place, size: part.size } };
}

/** Reads the tiles of samples, with their parts. @throws UserError of kind `data` when one cannot be read */
export function loadParts(
  source: TileSource,
  { wholeSize, part: options }: { readonly wholeSize: XYZ; readonly part: PartOptions },
  samples: readonly PartSample[],
  index: number,
): PartBatch {
  const size = samples.length;
  const box = largestPart(source.size, options);
  const tileVoxels = voxelsOf(source.size);
  const boxVoxels = voxelsOf(box);
  const [w1, h1, d1] = box;
  const [w, h, d] = wholeSize;
  const wholes = new Int16Array(size * tileVoxels);
  const boxes = new Int16Array(size * boxVoxels);
  const depth = new Float32Array(size * d * d1);
  const height = new Float32Array(size * h * h1);
  const width = new Float32Array(size * w1 * w);
  samples.forEach(({ tile, part }, i) => {
    const voxels = wholes.subarray(i * tileVoxels, (i + 1) * tileVoxels);
    source.read(tile, voxels);
    const { start, inside } = boxAround(part, box, source.size);
    cutTile({ voxels, size: source.size }, start, box, boxes.subarray(i * boxVoxels, (i + 1) * boxVoxels));
    const matrices = partMatrices(inside, box, wholeSize);
    depth.set(matrices.depth, i * d * d1);
    height.set(matrices.height, i * h * h1);
    width.set(matrices.width, i * w1 * w);
  });
  const tiles = samples.map(({ tile }) => tile);
  const changes = samples.flatMap((sample) => sample.intensity ?? []);
  const intensity = changes.length > 0 ? Float32Array.from(changes) : null;
  const facts = { index, size, used: size, tiles, tile: source.size, whole: wholeSize, box };
  return { proxy: 'parts2whole', ...facts, wholes, boxes, depth, height, width, intensity };
}

/** Intensities change in training only, so that validations of different runs compare. */
export const parts2whole: ProxyTask<PartBatch> = {
  stream: 'part',
  load(source, split, options, planned, index) {
    const samples = planned.map(({ tile, random }) => {
      const part = samplePart(random, source.size, options.part);
      if (options.intensity === 0) return { tile, part };
      const intensity = split === 'train' ? drawIntensity(random, options.intensity) : SAME_INTENSITY;
      return { tile, part, intensity };
    });
    return loadParts(source, options, samples, index);
  },
};
