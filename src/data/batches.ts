import { UserError } from '../errors.js';
import { permutation, randomStream } from '../random.js';
import { type Box, type PartOptions, partMatrices, samplePart } from './parts.js';
import type { Split } from './tile-store-manifest.js';
import { readTile, type TileStore } from './tiles.js';
import type { XYZ } from './volume.js';

/** Samples for one run of a graph: tiles, and for each the matrices that cut and resize one part of it. */
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
  /** HU [N, D₀, H₀, W₀] */
  readonly wholes: Int16Array<ArrayBuffer>;
  /** [N, D, D₀] */
  readonly depth: Float32Array<ArrayBuffer>;
  /** [N, H, H₀] */
  readonly height: Float32Array<ArrayBuffer>;
  /** [N, W₀, W] */
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

/** Reads the tiles of planned samples. @throws UserError of kind `data` when one has changed */
export function loadBatch(
  store: TileStore,
  split: Split,
  wholeSize: XYZ,
  samples: readonly Sample[],
  index: number,
): Batch {
  const size = samples.length;
  const [w0, h0, d0] = store.size;
  const [w, h, d] = wholeSize;
  const wholes = new Int16Array(size * d0 * h0 * w0);
  const depth = new Float32Array(size * d * d0);
  const height = new Float32Array(size * h * h0);
  const width = new Float32Array(size * w0 * w);
  samples.forEach(({ tile, part }, i) => {
    readTile(store, store[split][tile]!, wholes.subarray(i * d0 * h0 * w0, (i + 1) * d0 * h0 * w0));
    const matrices = partMatrices(part, store.size, wholeSize);
    depth.set(matrices.depth, i * d * d0);
    height.set(matrices.height, i * h * h0);
    width.set(matrices.width, i * w0 * w);
  });
  const tiles = samples.map(({ tile }) => tile);
  return { index, size, used: size, tile: store.size, whole: wholeSize, wholes, depth, height, width, tiles };
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
    const loaded = loadBatch(store, 'validation', wholeSize, samples, first / batch);
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
