import { UserError } from '../errors.js';
import { startThreads } from '../worker.js';
import { type Batch, batchPlan, checkWholeSize, loadBatch, type SamplingOptions } from './batches.js';
import type { Split } from './tile-store-manifest.js';
import { openTileStore, type TileStore } from './tiles.js';

export {
  type Batch,
  batchPlan,
  boxAround,
  loadBatch,
  type Sample,
  type SamplingOptions,
  validationBatches,
} from './batches.js';

/** What a thread needs to know to load any batch. */
export interface LoaderJob extends SamplingOptions {
  readonly store: TileStore;
  readonly split: Split;
}

/** Plans and loads one batch of a job. */
export function loadPlanned({ store, split, ...options }: LoaderJob, index: number): Batch {
  const samples = batchPlan(index, store[split].length, store.size, options);
  return loadBatch(store, split, options, samples, index);
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
  const threads =
    workers === 0 ? null : startThreads<number, Batch>(import.meta.url, './loader.worker', job, workers);
  const load = threads ? threads.ask : async (batch: number) => loadPlanned(job, batch);
  const readAhead = workers === 0 ? 0 : Math.max(1, ahead);
  const outstanding: Promise<Batch>[] = [];
  let index = firstBatch;
  const request = (count: number) => {
    while (outstanding.length < count) {
      const batch = load(index++);
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
    close: async () => threads?.close(),
  };
}
