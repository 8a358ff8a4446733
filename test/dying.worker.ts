/** A thread for tests: answers, fails, or dies, as it is asked to. */
import { UserError } from '../src/errors.js';
import { answerRequests } from '../src/worker.js';

answerRequests((request: string) => {
  if (request === 'die') process.exit(3);
  if (request === 'defect') (undefined as unknown as { x: number }).x = 1;
  if (request === 'refuse') throw new UserError('input', { what: 'no', where: 'there' });
  return request.length;
});
