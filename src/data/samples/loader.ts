import { startThreads } from '../../worker.js';
import { type Loader, readAhead } from '../loading/read-ahead.js';
import { type SampleBatch, type SamplePlan, trainingBatch } from './batches.js';
import type { SampleStore } from './store.js';

/** What a thread needs to know to load any batch. */
export interface SampleJob {
  readonly store: SampleStore;
  readonly plan: SamplePlan;
}

export interface SampleLoaderOptions extends SampleJob {
  /** Threads that read ahead; 0 reads in the calling thread, on demand. */
  readonly workers: number;
  /** Batches that are read ahead at most; asked before each batch. */
  readonly ahead: () => number;
  /** Which batch comes i-th, from 0. */
  readonly batchAt: (i: number) => number;
}

/** An endless sequence of training batches, which depends on store and plan only. */
export function openSampleLoader({
  workers,
  ahead,
  batchAt,
  ...job
}: SampleLoaderOptions): Loader<SampleBatch> {
  const threads =
    workers === 0
      ? null
      : startThreads<number, SampleBatch>(import.meta.url, './loader.worker', job, workers, {
          queued: Infinity,
        });
  return readAhead({
    load: threads ? threads.ask : async (index) => trainingBatch(job.store, job.plan, index),
    ahead: () => (workers === 0 ? 0 : Math.max(1, ahead())),
    batchAt,
    close: async () => threads?.close(),
  });
}
