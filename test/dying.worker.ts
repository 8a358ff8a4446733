/** A thread for tests: answers, fails, or dies, as it is asked to. */
import { workerData } from 'node:worker_threads';
import { UserError } from '../src/errors.js';
import { answerRequests } from '../src/worker.js';

/** How many requests there have been. */
const counter = workerData as Int32Array;

answerRequests((request: string) => {
  Atomics.add(counter, 0, 1);
  Atomics.notify(counter, 0);
  if (request === 'die') process.exit(3);
  if (request === 'defect') (undefined as unknown as { x: number }).x = 1;
  if (request === 'refuse') throw new UserError('input', { what: 'no', where: 'there' });
  return request.length;
});
