import type { Options } from 'yargs';
import { ofRank, openMpi } from '../src/distributed/mpi.js';
import { alone, isFirst, type Ranks } from '../src/distributed/ranks.js';
import { type Reporter, silent } from '../src/progress.js';
import type { Output } from './command.js';

/** With which other processes to train. */
export const distributedOption = {
  choices: ['mpi'] as const,
  describe: 'train in all processes that mpirun or srun has started, which share each batch',
} as const satisfies Options;

/** Runs a command on every rank. Only the first one has a word in it, until something goes wrong on another. */
export async function onRanks(
  distributed: 'mpi' | undefined,
  reporter: Reporter,
  run: (ranks: Ranks, reporter: Reporter) => Promise<Output>,
): Promise<Output> {
  if (!distributed) return run(alone, reporter);
  const ranks = await openMpi();
  try {
    if (ranks.size === 1)
      reporter.log(`${ranks.description}: trains as without --distributed; mpirun or srun start several`);
    const output = await run(ranks, isFirst(ranks) ? reporter : silent);
    ranks.close();
    // Not with its exit code either: mpirun ends all others at the first that is not 0.
    return isFirst(ranks) ? output : { text: '', json: null };
  } catch (error) {
    throw await ofRank(error, ranks);
  }
}
