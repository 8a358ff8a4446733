/** A thread of the loader: gets indices of batches, answers with the batches. */
import { parentPort, workerData } from 'node:worker_threads';
import { type ErrorFacts, type ErrorKind, UserError } from '../errors.js';
import type { Batch } from './batches.js';
import { type LoaderJob, loadPlanned } from './loader.js';

/** A batch, or the facts of a UserError: errors lose their class on the way between threads. */
export type Reply = { readonly index: number } & (
  | { readonly batch: Batch }
  | { readonly kind: ErrorKind; readonly facts: ErrorFacts }
);

parentPort!.on('message', (index: number) => {
  try {
    const batch = loadPlanned(workerData as LoaderJob, index);
    const { wholes, depth, height, width } = batch;
    send({ index, batch }, [wholes.buffer, depth.buffer, height.buffer, width.buffer]);
  } catch (error) {
    if (!(error instanceof UserError)) throw error; // ends the thread, which the loader reports
    const { cause: _, ...facts } = error.facts;
    send({ index, kind: error.kind, facts });
  }
});

const send = (reply: Reply, transfer: ArrayBuffer[] = []) => parentPort!.postMessage(reply, transfer);
