import { dataWork } from './data.js';
import { encoderWork } from './encoder.js';
import type { Work, WorkOptions } from './entry.js';
import { prepareWork } from './prepare.js';
import { stepWork } from './step.js';

/** Everything that can be measured. */
export const WORKS = {
  step: stepWork,
  encoder: encoderWork,
  data: dataWork,
  prepare: prepareWork,
} as const satisfies Record<string, (options: WorkOptions) => Work | Promise<Work>>;

export type WorkName = keyof typeof WORKS;
