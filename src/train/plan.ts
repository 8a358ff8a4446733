import type { TrainingConfig } from '../config/training.js';

/**
 * The steps whose checkpoints are kept: 0, the untrained network; log-spaced up to the last step, each twice the one
 * before; and every `keepEvery`.
 */
export function keptSteps({
  checkpoints,
  steps,
}: Pick<TrainingConfig, 'checkpoints' | 'steps'>): Set<number> {
  const { keepLogSpaced: count, keepEvery } = checkpoints;
  const kept = new Set<number>();
  if (count > 0) kept.add(0);
  for (let i = 0; i < count - 1; i++) kept.add(Math.round(steps / 2 ** i));
  if (keepEvery !== null) for (let step = keepEvery; step <= steps; step += keepEvery) kept.add(step);
  return kept;
}

/** Steps between validations: as configured, or an epoch. */
export const validationInterval = ({ validation, batch }: TrainingConfig, samples: number): number =>
  validation.every ?? Math.max(1, Math.round(samples / batch));
