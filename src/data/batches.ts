import { UserError } from '../errors.js';
import { permutation, randomStream } from '../random.js';
import { type Box, largestPart, type PartOptions, partMatrices, samplePart } from './parts.js';
import type { Split } from './tile-store-manifest.js';
import { readTile, type TileStore } from './tiles.js';
import { cutTile } from './tiling.js';
import type { XYZ } from './volume.js';

/** Samples for one run of a graph: tiles, and for each a box of it with the matrices that cut a part
 * out and resize it. */
export interface Batch {
  readonly index: number;
  /** Samples N. */
  readonly size: number;
  /** Samples that count: the last validation batch is filled up with repeats. */
  readonly used: number;
  /** Voxels of a tile, W₀ × H₀ × D₀. */
  readonly tile: XYZ;
  /** Voxels of a whole and of a resized part, W × H × D. */
  readonly whole: XYZ;
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
  /** Where each sample's tile is in its split of the store. */
  readonly tiles: number[];
}

/** What decides which samples there are. */
export interface SamplingOptions {
  /** Samples in a batch. */
  readonly batch: number;
  /** Voxels of a whole; tiles are a whole multiple of it along each axis. */
  readonly wholeSize: XYZ;
  readonly part: PartOptions;
  readonly seed: number;
}

/** Tile `tile` of a split, and a part of it. */
export interface Sample {
  readonly tile: number;
  readonly part: Box;
}

/**
 * The samples of a training batch. Each epoch goes through all tiles in an order of its own, with a fresh part
 * of each, and runs on into the next one in the middle of a batch.
 * @param tiles how many there are
 */
export function batchPlan(
  index: number,
  tiles: number,
  tileSize: XYZ,
  { batch, part, seed }: SamplingOptions,
): Sample[] {
  const orders = new Map<number, Uint32Array>();
  return Array.from({ length: batch }, (_, i) => {
    const sample = index * batch + i;
    const epoch = Math.floor(sample / tiles);
    const order = orders.get(epoch) ?? permutation(randomStream(seed, 'order', epoch), tiles);
    orders.set(epoch, order);
    const tile = order[sample % tiles]!;
    return { tile, part: samplePart(randomStream(seed, 'part', epoch, tile), tileSize, part) };
  });
}

const voxelsOf = ([x, y, z]: XYZ) => x * y * z;

/** Where a box of a fixed size lies that holds a part, and the part's place in it. */
export function boxAround(part: Box, size: XYZ, tile: XYZ): { start: XYZ; inside: Box } {
  const start = part.start.map((s, axis) => Math.min(s, tile[axis]! - size[axis]!)) as unknown as XYZ;
  const place = part.start.map((s, axis) => s - start[axis]!) as unknown as XYZ;
  return { start, inside: { start: place, size: part.size } };
}

/** Reads the tiles of planned samples. @throws UserError of kind `data` when one has changed */
export function loadBatch(
  store: TileStore,
  split: Split,
  { wholeSize, part: options }: Pick<SamplingOptions, 'wholeSize' | 'part'>,
  samples: readonly Sample[],
  index: number,
): Batch {
  const size = samples.length;
  const box = largestPart(store.size, options);
  const tileVoxels = voxelsOf(store.size);
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
    readTile(store, store[split][tile]!, voxels);
    const { start, inside } = boxAround(part, box, store.size);
    cutTile({ voxels, size: store.size }, start, box, boxes.subarray(i * boxVoxels, (i + 1) * boxVoxels));
    const matrices = partMatrices(inside, box, wholeSize);
    depth.set(matrices.depth, i * d * d1);
    height.set(matrices.height, i * h * h1);
    width.set(matrices.width, i * w1 * w);
  });
  const tiles = samples.map(({ tile }) => tile);
  const sizes = { tile: store.size, whole: wholeSize, box };
  return { index, size, used: size, ...sizes, wholes, boxes, depth, height, width, tiles };
}

/**
 * The validation batches: always the same tiles with the same parts, so that only the network changes between
 * two validations.
 * @param options.limit tiles at most, spread evenly over the validation split
 * @throws UserError of kind `config` when the wholes do not suit the tiles, `data` when tiles have changed
 */
export function* validationBatches(
  store: TileStore,
  options: SamplingOptions & { readonly limit: number },
): Generator<Batch> {
  const { batch, wholeSize, part, seed } = options;
  checkWholeSize(store.size, wholeSize);
  const available = store.validation.length;
  const count = Math.min(options.limit, available);
  for (let first = 0; first < count; first += batch) {
    const samples = Array.from({ length: batch }, (_, i): Sample => {
      const tile = Math.floor((Math.min(first + i, count - 1) * available) / count);
      return { tile, part: samplePart(randomStream(seed, 'validation part', tile), store.size, part) };
    });
    const loaded = loadBatch(store, 'validation', options, samples, first / batch);
    yield { ...loaded, used: Math.min(batch, count - first) };
  }
}

/** @throws UserError of kind `config` when the tiles are no whole multiple of the wholes */
export function checkWholeSize(tile: XYZ, whole: XYZ): void {
  if (whole.every((length, axis) => Number.isInteger(tile[axis]! / length))) return;
  throw new UserError('config', {
    what: 'the tiles are no whole multiple of the wholes',
    where: 'whole',
    got: `wholes of ${whole.join('×')}, tiles of ${tile.join('×')}`,
    expected: 'each side of a tile is 1, 2, 3, … times that of a whole',
    fix: 'choose other wholes, or prepare tiles of another size',
  });
}
