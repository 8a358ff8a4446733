/** Calls on one training, one after the other: a step writes into the memory that all others read. */
import { UserError } from '../errors.js';
import type { StepResult } from './stepper.js';

const lost = (what: string, step: number) =>
  new UserError('training', {
    what,
    where: `step ${step}`,
    fix: 'begin anew, with a lower learning rate or without numbers in the batches that are not finite',
  });

export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #released: Promise<void> | undefined;
  #lostAt: number | undefined;

  #next<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(call);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /**
   * Makes a call when all before it have ended, well or not.
   * @throws UserError after {@link release}, or a step that {@link checked} has refused
   */
  take<T>(call: () => Promise<T>): Promise<T> {
    const isLate = this.#released !== undefined;
    return this.#next(() => {
      if (isLate)
        throw new UserError('usage', { what: 'this training is released', fix: 'open another one' });
      if (this.#lostAt !== undefined)
        throw lost('this training is lost: its loss or gradient was no longer a finite number', this.#lostAt);
      return call();
    });
  }

  /**
   * What steps have come to; the weights are of no use after one whose loss or gradient is not finite.
   * @param first number of the first of them
   * @throws UserError of kind `training` for such a step; one with a loss scale was skipped where its gradient is not finite
   */
  checked(results: readonly StepResult[], first: number): readonly StepResult[] {
    const failed = results.findIndex(
      ({ loss, gradientNorm, lossScale }) =>
        !Number.isFinite(loss) || (lossScale === undefined && !Number.isFinite(gradientNorm)),
    );
    if (failed < 0) return results;
    this.#lostAt = first + failed;
    throw lost('the loss or its gradient is no longer a finite number', this.#lostAt);
  }

  /** Frees what a training holds when all calls before have ended; only once, however often it is called. */
  release(free: () => Promise<void>): Promise<void> {
    this.#released ??= this.#next(free);
    return this.#released;
  }
}
