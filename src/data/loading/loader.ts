import { checkInteger, UserError } from '../../errors.js';
import { startThreads } from '../../worker.js';
import { type Batch, proxies } from '../proxies/index.js';
import type { SamplingOptions } from '../proxies/proxy.js';
import type { Split } from '../store/tile-source.js';
import { openTileStore, type TileStore, tilesOf } from '../store/tiles.js';
import { batchPlan, checkWholeSize } from './batches.js';
import { type Loader, readAhead } from './read-ahead.js';

/** What a thread needs to know to load any batch. */
export interface LoaderJob extends SamplingOptions {
  readonly store: TileStore;
  readonly split: Split;
}

/** Plans and loads one batch of a job. */
export function loadPlanned({ store, split, ...options }: LoaderJob, index: number): Batch {
  const samples = batchPlan(index, store[split].length, options);
  return proxies[options.proxy].load(tilesOf(store, split), split, options, samples, index);
}

export interface LoaderOptions extends SamplingOptions {
  /** Folder of a tile store. */
  readonly store: string;
  readonly split: Split;
  /** Threads that read ahead; 0 reads in the calling thread, on demand. */
  readonly workers: number;
  /** Batches that are read ahead at most, by all threads together; asked before each batch. */
  readonly ahead: () => number;
  /** Which batch comes i-th, from 0. */
  readonly batchAt: (i: number) => number;
}

/**
 * Opens an endless sequence of batches, which depends on seed and store only, not on the number of threads.
 * @throws UserError of kind `usage` for an impossible batch or number of workers, `data` for a bad store or an empty split, `config` when
 *   the wholes do not suit the tiles
 * @example
 * const loader = openLoader({
 *   ...{ store: 'tiles', split: 'train', proxy: 'parts2whole', batch: 16, wholeSize: [32, 32, 16], seed: 1 },
 *   ...{ part: config.part, window: config.window, intensity: 0, paired: false, workers: 1, ahead: () => 2, batchAt: (i) => i },
 * });
 * const batch = await loader.next();
 * await loader.close();
 */
export function openLoader(options: LoaderOptions): Loader<Batch> {
  const { workers, ahead, batchAt, store: folder, ...sampling } = options;
  checkInteger('batch', sampling.batch, 1);
  checkInteger('workers', workers, 0);
  const store = openTileStore(folder);
  checkWholeSize(store.size, sampling.wholeSize);
  if (store[sampling.split].length === 0) {
    throw new UserError('data', { what: `the store has no ${sampling.split} tiles`, where: folder });
  }
  const job: LoaderJob = { ...sampling, store };
  const threads =
    workers === 0
      ? null
      : startThreads<number, Batch>(import.meta.url, './loader.worker', job, workers, { queued: Infinity });
  return readAhead({
    load: threads ? threads.ask : async (batch) => loadPlanned(job, batch),
    ahead: () => (workers === 0 ? 0 : Math.max(1, ahead())),
    batchAt,
    close: async () => threads?.close(),
  });
}
