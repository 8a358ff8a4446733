/** How ranks share the work of a run: micro-batches of each step, and the processors of a host. */
import { availableParallelism } from 'node:os';
import { microBatches, type TrainingConfig } from '../config/training.js';
import type { Ranks } from '../distributed/ranks.js';
import { UserError } from '../errors.js';

/**
 * The micro-batch of a new run: where none is configured, each rank computes one. What a run computes then follows from batch
 * and micro-batch alone, so that it can go on with another number of ranks.
 * @throws UserError of kind `config` when the batch cannot be divided
 */
export function sharedMicroBatch(
  { batch, microBatch }: Pick<TrainingConfig, 'batch' | 'microBatch'>,
  { size }: Ranks,
): number | null {
  if (microBatch !== null || size === 1) return microBatch;
  if (batch % size === 0) return batch / size;
  throw new UserError('config', {
    what: 'a batch must be divided equally among the ranks',
    where: 'batch',
    got: `${batch}, for ${size} ranks`,
    fix: `--set batch=${Math.ceil(batch / size) * size}, or another number of ranks`,
  });
}

/** Micro-batches of a step that each rank computes. @throws UserError of kind `config` when they cannot be divided */
export function ownMicroBatches(config: TrainingConfig, { size: ranks }: Ranks): number {
  const { size, count } = microBatches(config);
  if (count % ranks === 0) return count / ranks;
  const divisors = Array.from({ length: count }, (_, i) => i + 1).filter((n) => count % n === 0);
  throw new UserError('config', {
    what: 'the micro-batches of a step must be divided equally among the ranks',
    where: 'batch, microBatch',
    got: `${count} of ${size} samples each, for ${ranks} ranks`,
    expected: `${divisors.join(', ')} ranks`,
    fix: 'start another number of ranks; a new run can have smaller micro-batches, for example --set microBatch=1',
  });
}

/**
 * Which micro-batch of the whole training a rank computes i-th after some steps: in each step a row of its own, or, where they are
 * normalised together, each rank's share of the same samples.
 */
export function microBatchAt(
  config: TrainingConfig,
  ranks: Ranks,
  steps: number,
  syncNorm: boolean,
): (i: number) => number {
  const { count } = microBatches(config);
  const own = ownMicroBatches(config, ranks);
  return syncNorm
    ? (i) => steps * count + i * ranks.size + ranks.rank
    : (i) => (steps + Math.floor(i / own)) * count + ranks.rank * own + (i % own);
}

/**
 * The configuration of a run in which each micro-batch is shared by all ranks, as one of them computes it.
 * @throws UserError of kind `config` when a micro-batch cannot be divided
 */
export function withinMicroBatches<C extends TrainingConfig>(config: C, { size: ranks }: Ranks): C {
  const { size } = microBatches(config);
  if (size % ranks === 0) return { ...config, microBatch: size / ranks };
  throw new UserError('config', {
    what: 'samples that are normalised together must be divided equally among the ranks',
    where: config.microBatch === null ? 'batch' : 'microBatch',
    got: `${size}, for ${ranks} ranks`,
    expected: `a multiple of ${ranks}`,
  });
}

/** A configuration as a rank computes it: where all processors were to be used, with its share of them. */
export const withOwnThreads = <C extends TrainingConfig>(config: C, { size, onProcessors }: Ranks): C =>
  config.threads > 0 || size === 1
    ? config
    : { ...config, threads: Math.max(1, Math.floor(availableParallelism() / onProcessors)) };
