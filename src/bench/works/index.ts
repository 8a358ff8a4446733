import { encoderWork } from './encoder.js';
import type { Work, WorkOptions } from './entry.js';
import { stepWork } from './step.js';

/** Everything that can be measured. */
export const WORKS = {
  step: stepWork,
  encoder: encoderWork,
} as const satisfies Record<string, (options: WorkOptions) => Work>;

export type WorkName = keyof typeof WORKS;
