import type { ProxyName } from '../../config/proxies.js';
import { UserError } from '../../errors.js';
import { permutation, type RandomStream, randomStream } from '../../random.js';
import { type CorruptedBatch, loadCorrupted } from '../proxies/genesis/batch.js';
import { drawIntensity, SAME_INTENSITY } from '../proxies/parts2whole/intensity.js';
import { loadParts, type PartBatch } from '../proxies/parts2whole/part-batch.js';
import { type PartOptions, samplePart } from '../proxies/parts2whole/parts.js';
import type { XYZ } from '../scan/volume.js';
import type { Split, TileSource } from '../store/tile-source.js';
import type { HuWindow } from '../store/wholes.js';

/** What is known of the samples for one run of a graph, whatever they are. */
export interface BatchFacts {
  readonly index: number;
  /** Samples N. */
  readonly size: number;
  /** Samples that count: the last validation batch is filled up with repeats. */
  readonly used: number;
  /** Voxels of a whole and of what the network is given, W × H × D. */
  readonly whole: XYZ;
  /** The tile of each sample. */
  readonly tiles: readonly number[];
}

/** Samples for one run of a graph, as the proxy task wants them. */
export type Batch = PartBatch | CorruptedBatch;

/** What decides which samples there are. */
export interface SamplingOptions {
  readonly proxy: ProxyName;
  /** Samples in a batch. */
  readonly batch: number;
  /** Voxels of a whole; tiles are an integer multiple of it along each axis. */
  readonly wholeSize: XYZ;
  /** Parts of Parts2Whole. */
  readonly part: PartOptions;
  /** Of the images that Models Genesis corrupts. */
  readonly window: HuWindow;
  /** Most change of the parts' intensities; see {@link drawIntensity}. */
  readonly intensity: number;
  /** Samples 2i and 2i + 1 of a training batch are two parts of one whole. */
  readonly paired: boolean;
  readonly seed: number;
}

/** A tile, and the stream from which all that is random about it is drawn. */
export interface PlannedTile {
  readonly tile: number;
  readonly random: RandomStream;
}

/** What the streams of a proxy task are called. */
const PURPOSE = { parts2whole: 'part', genesis: 'genesis' } as const;

/**
 * The samples of a training batch. Each epoch goes through all tiles in an order of its own, with a fresh stream for
 * each, and runs on into the next one in the middle of a batch.
 * @param tiles how many there are
 */
export function batchPlan(
  index: number,
  tiles: number,
  { batch, proxy, paired, seed }: Pick<SamplingOptions, 'batch' | 'proxy' | 'paired' | 'seed'>,
): PlannedTile[] {
  const orders = new Map<number, Uint32Array>();
  const views = paired ? 2 : 1;
  return Array.from({ length: batch }, (_, i) => {
    const sample = Math.floor((index * batch + i) / views);
    const epoch = Math.floor(sample / tiles);
    const order = orders.get(epoch) ?? permutation(randomStream(seed, 'order', epoch), tiles);
    orders.set(epoch, order);
    const tile = order[sample % tiles]!;
    const view = (index * batch + i) % views;
    return { tile, random: randomStream(seed, PURPOSE[proxy], epoch, tile, ...(paired ? [view] : [])) };
  });
}

/**
 * Reads planned tiles, and makes samples of them; intensities change in training only, so that validations of different
 * runs compare.
 * @throws UserError of kind `data` when one cannot be read
 */
export function loadBatch(
  source: TileSource,
  split: Split,
  options: SamplingOptions,
  planned: readonly PlannedTile[],
  index: number,
): Batch {
  if (options.proxy === 'genesis') return loadCorrupted(source, options, planned, index);
  const samples = planned.map(({ tile, random }) => {
    const part = samplePart(random, source.size, options.part);
    if (options.intensity === 0) return { tile, part };
    const intensity = split === 'train' ? drawIntensity(random, options.intensity) : SAME_INTENSITY;
    return { tile, part, intensity };
  });
  return loadParts(source, options, samples, index);
}

/**
 * The validation batches: always the same tiles with the same parts or corruptions, so that only the network changes
 * between two validations.
 * @param options.limit tiles at most, spread evenly over all
 * @throws UserError of kind `config` when the wholes do not suit the tiles, `data` when tiles cannot be read
 * @example
 * const sampling = {
 *   ...{ proxy: config.proxy, batch: 16, wholeSize: config.whole, part: config.part },
 *   ...{ window: config.hu, intensity: 0, paired: false, seed: 1, limit: 128 },
 * };
 * for (const batch of validationBatches(tilesOf(openTileStore('tiles'), 'validation'), sampling)) console.log(batch.used);
 */
export function* validationBatches(
  source: TileSource,
  options: SamplingOptions & { readonly limit: number },
): Generator<Batch> {
  const { batch, wholeSize, proxy, seed } = options;
  checkWholeSize(source.size, wholeSize);
  const available = source.count;
  const count = Math.min(options.limit, available);
  for (let first = 0; first < count; first += batch) {
    const planned = Array.from({ length: batch }, (_, i): PlannedTile => {
      const tile = Math.floor((Math.min(first + i, count - 1) * available) / count);
      return { tile, random: randomStream(seed, `validation ${PURPOSE[proxy]}`, tile) };
    });
    const loaded = loadBatch(source, 'validation', options, planned, first / batch);
    yield { ...loaded, used: Math.min(batch, count - first) };
  }
}

/** @throws UserError of kind `config` when the tiles are not an integer multiple of the wholes */
export function checkWholeSize(tile: XYZ, whole: XYZ): void {
  if (whole.every((length, axis) => Number.isInteger(tile[axis]! / length))) return;
  throw new UserError('config', {
    what: 'the tiles are not an integer multiple of the wholes',
    where: 'whole',
    got: `wholes of ${whole.join('×')}, tiles of ${tile.join('×')}`,
    expected: 'each side of a tile is 1, 2, 3, … times that of a whole',
    fix: 'choose other wholes, or prepare tiles of another size',
  });
}
