/** First state of a network that does not begin at random. */

import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import type * as z from 'zod';
import type { Parameter } from '../../graphs/nn/module.js';
import type { FinetuneConfig } from '../config/finetuning.js';
import { parseConfig } from '../config/layers.js';
import { networkSchema, type TrainingConfig } from '../config/training.js';
import { UserError } from '../errors.js';
import { isFolder } from '../files.js';
import { isOnnxFile } from '../onnx-file.js';
import { PRETRAINED, pretrainedFile } from '../pretrained.js';
import { checkpointPath, parseCheckpoint, resolveCheckpoint } from '../runs/checkpoint.js';
import { configPath, isFinetuneRun, readFinetuneRun, readRun } from '../runs/run.js';
import type { State } from '../runs/state.js';
import { shellWord } from '../shell.js';
import { initialize } from '../weights/initialize.js';
import { type LoadReport, loadWeights } from '../weights/load-weights.js';
import { readSafetensorsHeader } from '../weights/safetensors-file.js';
import { readWeights } from '../weights/weight-file.js';
import type { Weights } from '../weights/weights.js';
import { freshState } from './fresh-state.js';

/** The run or file that `--init` names: one of this name that is here, or an encoder of the package. */
export const sourceOf = (from: string): string =>
  existsSync(configPath(from)) ? from : (pretrainedFile(from, 'weights') ?? from);

/** What a file of weights says of itself, as `export` writes it; undefined where it says nothing. @throws UserError when that is damaged */
export function headerValue<T>(path: string, key: string, schema: z.ZodType<T>): T | undefined {
  const text = readSafetensorsHeader(path).metadata[key];
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = text;
  }
  return parseConfig(schema, value, `${path}, ${key}`, 'export the weights again');
}

/** The network of a run. @throws UserError when it is an ONNX model, which has its own */
function networkOfRun(run: string): FinetuneConfig['network'] {
  if (!isFinetuneRun(run)) return readRun(run).config.network;
  const { init, network } = readFinetuneRun(run).config;
  if (!isOnnxFile(init.from)) return network;
  throw new UserError('input', {
    what: 'the network of this run is an ONNX model, which can only be loaded from its file',
    where: '--init',
    got: `${run}, which began with ${init.from}`,
    fix: `give that file, or the one that p2w export --run ${shellWord(run)} writes`,
  });
}

/** The network that is to be loaded, as its run or file says; undefined where none does. */
export function networkOf(from: string): FinetuneConfig['network'] | undefined {
  const source = sourceOf(from);
  if (isFolder(source)) return networkOfRun(source);
  return existsSync(source) && source.endsWith('.safetensors')
    ? headerValue(source, 'network', networkSchema)
    : undefined;
}

async function weightsOf({ from, checkpoint }: FinetuneConfig['init']): Promise<Weights> {
  const source = sourceOf(from);
  if (!isFolder(source)) return readWeights(source);
  const { tensors } = resolveCheckpoint(source, parseCheckpoint(checkpoint));
  return new Map(
    [...tensors].map(([name, { shape, data }]) => [name, { type: 'F32', shape, data: data as Float32Array }]),
  );
}

/** The digest of the file that weights begin from; empty for random ones, and where there is none any more. */
export function digestOfInit({ from, checkpoint }: FinetuneConfig['init']): string {
  if (from === 'random') return '';
  const source = sourceOf(from);
  const file = isFolder(source) ? checkpointPath(source, parseCheckpoint(checkpoint)) : source;
  return existsSync(file) ? fileDigest(file) : '';
}

/** SHA-256 of a file of any size, in hexadecimal. */
function fileDigest(path: string): string {
  const hash = createHash('sha256');
  const piece = Buffer.alloc(PIECE_BYTES);
  const file = openSync(path, 'r');
  try {
    for (let read = readSync(file, piece); read > 0; read = readSync(file, piece))
      hash.update(piece.subarray(0, read));
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}
const PIECE_BYTES = 2 ** 24;

/**
 * The state of a network whose weights are loaded; what is not loaded begins at random, the optimiser anew.
 * @param remedy what the user can do where only some weights fit
 * @throws UserError when the source is missing, or does not fit and need not fit in part
 */
export async function loadedState(
  config: TrainingConfig,
  parameters: readonly Parameter[],
  init: FinetuneConfig['init'],
  remedy: string,
): Promise<{ state: State; report: LoadReport }> {
  if (!existsSync(sourceOf(init.from)))
    throw new UserError('input', {
      what: 'there are no weights here',
      where: '--init',
      got: init.from,
      expected: `a run folder (with ${configPath('')}), a weight file, ${PRETRAINED}, or random`,
    });
  const { from: source, parts, partial, names } = init;
  const options = { source, parts, partial, names, remedy };
  const initial = initialize(parameters, config.seed, init.random);
  const { values, report } = loadWeights(parameters, initial, await weightsOf(init), options);
  return { state: freshState(parameters, config, values), report };
}

const LOAD_LESS =
  'load fewer parts (--load encoder), what fits (--partial), or map the names (--set init.names={"theirs":"ours"})';

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
    : loadedState(config, parameters, config.init, LOAD_LESS);
}
