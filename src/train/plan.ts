import type { Config } from '../config.js';

/**
 * The steps whose checkpoints are kept: 0 is the untrained network, then log-spaced up to the last step, then
 * every `keepEvery`.
 */
export function keptSteps({ checkpoints, steps }: Pick<Config, 'checkpoints' | 'steps'>): Set<number> {
  const { keepLogSpaced: count, keepEvery } = checkpoints;
  const kept = new Set<number>();
  if (count > 0) kept.add(0);
  for (let i = 1; i < count; i++) kept.add(Math.round(steps ** (count === 2 ? 1 : (i - 1) / (count - 2))));
  if (keepEvery !== null) for (let step = keepEvery; step <= steps; step += keepEvery) kept.add(step);
  return kept;
}

/** Steps between validations: as configured, or an epoch. */
export const validationInterval = ({ validation, batch }: Config, tiles: number): number =>
  validation.every ?? Math.max(1, Math.round(tiles / batch));
