/** First state of a network that does not begin at random. */
import { existsSync } from 'node:fs';
import type { Parameter } from '../../graphs/nn/module.js';
import type { FinetuneConfig } from '../config/finetuning.js';
import type { TrainingConfig } from '../config/training.js';
import { UserError } from '../errors.js';
import { isFolder } from '../files.js';
import { parseCheckpoint, resolveCheckpoint } from '../runs/checkpoint.js';
import { configPath, readRun } from '../runs/run.js';
import type { State } from '../runs/state.js';
import { initialize } from '../weights/initialize.js';
import { type LoadReport, loadWeights } from '../weights/load-weights.js';
import { readWeights } from '../weights/weight-file.js';
import type { Weights } from '../weights/weights.js';
import { freshState } from './fresh-state.js';

/** The network of the run that is to be loaded; undefined where it is none. */
export const networkOf = (from: string): FinetuneConfig['network'] | undefined =>
  isFolder(from) ? readRun(from).config.network : undefined;

async function weightsOf({ from, checkpoint }: FinetuneConfig['init']): Promise<Weights> {
  if (!isFolder(from)) return readWeights(from);
  const { tensors } = resolveCheckpoint(from, parseCheckpoint(checkpoint));
  return new Map(
    [...tensors].map(([name, { shape, data }]) => [name, { type: 'F32', shape, data: data as Float32Array }]),
  );
}

/**
 * The state of a network whose weights are loaded; what is not loaded begins at random, the optimiser anew.
 * @throws UserError when the source is missing, or does not fit and need not fit in part
 */
export async function loadedState(
  config: TrainingConfig,
  parameters: readonly Parameter[],
  init: FinetuneConfig['init'],
): Promise<{ state: State; report: LoadReport }> {
  if (!existsSync(init.from))
    throw new UserError('input', {
      what: 'there are no weights here',
      where: '--init',
      got: init.from,
      expected: `random, a run folder (with ${configPath('')}), or a weight file`,
    });
  const { from: source, parts, partial, names } = init;
  const options = { source, parts, partial, names };
  const initial = initialize(parameters, config.seed, init.random);
  const { values, report } = loadWeights(parameters, initial, await weightsOf(init), options);
  return { state: freshState(parameters, config, values), report };
}

/**
 * The state in which a fine-tuning begins: random values, and what is loaded in their place.
 * @returns a report where something was loaded
 * @throws UserError as {@link loadedState}
 */
export async function startState(
  config: FinetuneConfig,
  parameters: readonly Parameter[],
  atRandom = config.init.from === 'random',
): Promise<{ state: State; report: LoadReport | null }> {
  return atRandom || config.init.from === 'random'
    ? {
        state: freshState(parameters, config, initialize(parameters, config.seed, config.init.random)),
        report: null,
      }
    : loadedState(config, parameters, config.init);
}
