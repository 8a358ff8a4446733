import { existsSync } from 'node:fs';
import { UserError } from '../errors.js';
import { checkpointPath, saveCheckpoint, type TrainState } from '../runs/checkpoint.js';
import { configPath, type FinetuneRunFacts, type RunFacts, writeRun } from '../runs/run.js';
import type { State } from '../runs/state.js';
import { plateauStart } from './schedule.js';
import { withRunLock } from './train-run.js';

/**
 * Makes a run of weights that come from elsewhere: its best and last checkpoint, from which it can be exported, fine-tuned
 * from, and reported on.
 * @param purpose the command, for whoever waits for the folder's lock
 * @throws UserError when there is a run in the folder already, or the disk is full
 */
export async function makeRun(
  run: string,
  purpose: string,
  facts: RunFacts | FinetuneRunFacts,
  tensors: State,
  origin: Pick<TrainState, 'step' | 'samples' | 'networkHash' | 'dataHash'>,
): Promise<void> {
  await withRunLock(run, purpose, async () => {
    if (existsSync(configPath(run)))
      throw new UserError('run', {
        what: 'this folder already contains a run',
        where: run,
        fix: 'choose another folder',
      });
    const state: TrainState = {
      ...origin,
      epoch: 0,
      schedule: plateauStart(facts.config.learningRate),
      best: null,
      flatValidations: 0,
      stopped: false,
      metricsBytes: 0,
      seed: facts.config.seed,
    };
    for (const name of ['best', 'last'] as const) saveCheckpoint(checkpointPath(run, name), tensors, state);
    // Last: what has it is a run.
    writeRun(run, facts);
  });
}
