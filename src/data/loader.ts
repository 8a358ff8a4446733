import { UserError } from '../errors.js';
import { permutation, randomStream } from '../random.js';
import { startWorker } from '../worker.js';
import type { Reply } from './loader.worker.js';
import { type Box, type PartOptions, partMatrices, samplePart } from './parts.js';
import type { Split } from './tile-store-manifest.js';
import { openTileStore, readTile, type TileStore } from './tiles.js';
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

function checkWholeSize(tile: XYZ, whole: XYZ): void {
  if (whole.every((length, axis) => Number.isInteger(tile[axis]! / length))) return;
  throw new UserError('config', {
    what: 'the tiles are no whole multiple of the wholes',
    where: 'whole',
    got: `wholes of ${whole.join('×')}, tiles of ${tile.join('×')}`,
    expected: 'each side of a tile is 1, 2, 3, … times that of a whole',
    fix: 'choose other wholes, or prepare tiles of another size',
  });
}

/** What a thread needs to know to load any batch. */
export interface LoaderJob extends SamplingOptions {
  readonly store: TileStore;
  readonly split: Split;
}

/** Plans and loads one batch of a job. */
export function loadPlanned({ store, split, ...options }: LoaderJob, index: number): Batch {
  const samples = batchPlan(index, store[split].length, store.size, options);
  return loadBatch(store, split, options.wholeSize, samples, index);
}

export interface LoaderOptions extends SamplingOptions {
  /** Folder of a tile store. */
  readonly store: string;
  readonly split: Split;
  /** Threads that read ahead; 0 reads in the calling thread, on demand. */
  readonly workers: number;
  /** Batches that are read ahead at most, by all threads together. */
  readonly ahead: number;
  /** Index of the batch to begin with: 0, or where an interrupted run goes on. */
  readonly firstBatch: number;
}

/** Gives batches in the order of their index. */
export interface Loader {
  /** @throws UserError of kind `data` when tiles have changed or a thread has died */
  next(): Promise<Batch>;
  /** Time since the first `next`, and how much of it was spent waiting for data. */
  waited(): { waitSeconds: number; totalSeconds: number };
  /** Ends the threads; batches that were not taken are lost. */
  close(): Promise<void>;
}

/**
 * Opens an endless sequence of batches, which depends on seed and store only, not on the number of threads.
 * @throws UserError of kind `data` for a bad store or an empty split, `config` when the wholes do not suit the tiles
 */
export function openLoader({ workers, ahead, firstBatch, store: folder, ...options }: LoaderOptions): Loader {
  const store = openTileStore(folder);
  checkWholeSize(store.size, options.wholeSize);
  if (store[options.split].length === 0) {
    throw new UserError('data', { what: `the store has no ${options.split} tiles`, where: folder });
  }
  const job: LoaderJob = { ...options, store };
  const source = workers === 0 ? directSource(job) : threadSource(job, workers);
  const readAhead = workers === 0 ? 0 : Math.max(1, ahead);
  const outstanding: Promise<Batch>[] = [];
  let index = firstBatch;
  const request = (count: number) => {
    while (outstanding.length < count) {
      const batch = source.load(index++);
      batch.catch(() => {}); // it is reported when it is its turn
      outstanding.push(batch);
    }
  };
  request(readAhead);

  let firstAsked: number | undefined;
  let waitSeconds = 0;
  const seconds = () => performance.now() / 1000;
  return {
    async next() {
      const asked = seconds();
      firstAsked ??= asked;
      request(Math.max(1, readAhead));
      try {
        return await outstanding.shift()!;
      } finally {
        waitSeconds += seconds() - asked;
      }
    },
    waited: () => ({ waitSeconds, totalSeconds: firstAsked === undefined ? 0 : seconds() - firstAsked }),
    close: () => source.close(),
  };
}

interface BatchSource {
  load(index: number): Promise<Batch>;
  close(): Promise<void>;
}

const directSource = (job: LoaderJob): BatchSource => ({
  load: async (index) => loadPlanned(job, index),
  close: async () => {},
});

/** Threads that load batches, each every n-th one. */
function threadSource(job: LoaderJob, count: number): BatchSource {
  const pending = new Map<number, { resolve(batch: Batch): void; reject(error: Error): void }>();
  let ended: Error | undefined;
  const end = (error: Error) => {
    ended ??= error;
    for (const { reject } of pending.values()) reject(ended);
    pending.clear();
  };
  const threads = Array.from({ length: count }, () => {
    const thread = startWorker(import.meta.url, './loader.worker', job);
    thread.on('message', (reply: Reply) => {
      const waiting = pending.get(reply.index);
      pending.delete(reply.index);
      if ('batch' in reply) waiting?.resolve(reply.batch);
      else waiting?.reject(new UserError(reply.kind, reply.facts));
    });
    thread.on('error', (error) => end(threadDied(error.message, error)));
    thread.on('exit', (code) => end(threadDied(`exit code ${code}`)));
    return thread;
  });
  return {
    load: (index) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(ended);
        pending.set(index, { resolve, reject });
        threads[index % count]!.postMessage(index);
      }),
    async close() {
      end(new Error('the loader is closed'));
      await Promise.all(threads.map((thread) => thread.terminate()));
    },
  };
}

const threadDied = (got: string, cause?: Error) =>
  new UserError('data', {
    what: 'a thread that reads tiles has died',
    got,
    fix: 'free some memory, or read with fewer threads (`workers`)',
    cause,
  });
