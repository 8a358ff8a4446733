import type { TaskName } from './index.js';

/** Tasks of the paper by the data sets that they are made of. */
export const TASK_ALIASES: ReadonlyMap<string, TaskName> = new Map([
  ['luna16', 'ncc'],
  ['lidc', 'ncs'],
  ['lits', 'lcs'],
  ['ctpa', 'ecc'],
  ['brats', 'bms'],
]);
