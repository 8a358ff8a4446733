/** A thread of the loader: gets indices of batches, answers with the batches. */
import { workerData } from 'node:worker_threads';
import { answerRequests } from '../../worker.js';
import { trainingBatch } from './batches.js';
import type { SampleJob } from './loader.js';

const { store, plan } = workerData as SampleJob;
answerRequests(
  (index: number) => trainingBatch(store, plan, index),
  ({ image, weight, label, mask }) =>
    [image, weight, ...(label ? [label] : []), ...(mask ? [mask] : [])].map(
      ({ buffer }) => buffer as ArrayBuffer,
    ),
);
