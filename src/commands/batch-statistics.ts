/** Networks whose outputs for one sample depend on the others of its batch. */
import type { TrainingConfig } from '../config/training.js';
import { UserError } from '../errors.js';

type Normalised = Pick<TrainingConfig['network'], 'norm'>;

export const usesBatchStatistics = ({ norm }: Normalised): boolean => norm.evalStatistics === 'batch';

/** @param action what cannot be done with the network, such as `exported` @throws UserError for such a network */
export function refuseBatchStatistics(network: Normalised, action: string): void {
  if (!usesBatchStatistics(network)) return;
  throw new UserError('config', {
    what: `a network that is evaluated with batch statistics cannot be ${action}: its output for one sample depends on the others`,
    where: 'network.norm.evalStatistics',
    got: 'batch',
    expected: 'running',
    fix: 'train it with running statistics',
  });
}
