import { INTERNAL_DOMAIN, operator } from '../operator.js';

/** Operators between processes that run the same graph. No file has them: they end its stages. */
export const betweenRanks = {
  /** x on every rank → the sum over all ranks. */
  SumOverRanks: operator([1, 1], {}, ([x]) => [x!], INTERNAL_DOMAIN),
};
