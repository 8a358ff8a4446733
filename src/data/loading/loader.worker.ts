/** A thread of the loader: gets indices of batches, answers with the batches. */
import { workerData } from 'node:worker_threads';
import { answerRequests } from '../../worker.js';
import { type LoaderJob, loadPlanned } from './loader.js';

answerRequests(
  (index: number) => loadPlanned(workerData as LoaderJob, index),
  (batch) =>
    Object.values(batch)
      .filter((value) => ArrayBuffer.isView(value))
      .map(({ buffer }) => buffer as ArrayBuffer),
);
