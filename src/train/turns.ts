/** Calls on one training, one after the other: a step writes into the memory that all others read. */
import { UserError } from '../errors.js';

export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #released: Promise<void> | undefined;

  #next<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(call);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /**
   * Makes a call when all before it have ended, well or not.
   * @throws UserError after {@link release}
   */
  take<T>(call: () => Promise<T>): Promise<T> {
    const isLate = this.#released !== undefined;
    return this.#next(() => {
      if (isLate)
        throw new UserError('usage', { what: 'this training is released', fix: 'open another one' });
      return call();
    });
  }

  /** Frees what a training holds when all calls before have ended; only once, however often it is called. */
  release(free: () => Promise<void>): Promise<void> {
    this.#released ??= this.#next(free);
    return this.#released;
  }
}
