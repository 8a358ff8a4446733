import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import type { Parameter } from '../../graphs/nn/module.js';
import { formatShape } from '../../graphs/onnx/types.js';
import { UserError } from '../errors.js';
import { readSafetensors, readSafetensorsHeader, writeSafetensors } from '../weights/safetensors-file.js';
import type { State } from './state.js';

const FORMAT = 'parts2whole-checkpoint';
const VERSION = '1';

const finite = z.number();
const stateSchema = z.strictObject({
  /** Steps that have been made. */
  step: z.int().min(0),
  epoch: z.int().min(0),
  schedule: z.strictObject({
    learningRate: finite,
    best: finite.nullable(),
    badValidations: z.int().min(0),
    sinceBest: z.int().min(0),
  }),
  best: z
    .strictObject({ step: z.int().min(0), validationLoss: finite, criterion: finite.optional() })
    .nullable(),
  /** Validations in a row whose outputs did not differ between samples. */
  flatValidations: z.int().min(0),
  /** Early stop has ended the run. */
  stopped: z.boolean(),
  /** How much of metrics.jsonl belongs to the steps so far. */
  metricsBytes: z.int().min(0),
  seed: z.int(),
  /** Training samples of the data; null where that is not known. */
  samples: z.int().positive().nullable().default(null),
  networkHash: z.string(),
  dataHash: z.string(),
});

/** Where a training stands, beside its tensors. */
export type TrainState = z.infer<typeof stateSchema>;

export interface Checkpoint {
  /** Parameters, running statistics and the optimiser's state, by name. */
  readonly tensors: State;
  readonly state: TrainState;
}

export type CheckpointName = 'last' | 'best' | number;

/** `<run>/checkpoints/{last,best,step-00001234}.safetensors`: one file, so that one rename makes it appear. */
export function checkpointPath(run: string, name: CheckpointName): string {
  const file = typeof name === 'number' ? `step-${String(name).padStart(8, '0')}` : name;
  return join(run, 'checkpoints', `${file}.safetensors`);
}

/** A name as users write it. @throws UserError when it is none */
export function parseCheckpoint(text: string): CheckpointName {
  if (text === 'last' || text === 'best') return text;
  const step = Number(text);
  if (text !== '' && Number.isSafeInteger(step) && step >= 0) return step;
  throw new UserError('usage', {
    what: 'this checkpoint does not exist',
    where: '--checkpoint',
    got: text,
    expected: 'best, last, or a step',
  });
}

/** Checkpoints that were kept, by step. */
export function listCheckpoints(run: string): { step: number; path: string }[] {
  const folder = join(run, 'checkpoints');
  if (!existsSync(folder)) return [];
  const steps = readdirSync(folder).flatMap((name) => {
    const match = /^step-(\d+)\.safetensors$/.exec(name);
    return match ? [{ step: Number(match[1]), path: join(folder, name) }] : [];
  });
  return steps.sort((a, b) => a.step - b.step);
}

/** Whether a run has a checkpoint to go on with: one that was killed while it saved its first state has others at most. */
export const hasLast = (run: string): boolean => existsSync(checkpointPath(run, 'last'));

/** Whether a run has saved anything: one that has not began, and failed or was killed before its first checkpoint. */
export const hasCheckpoints = (run: string): boolean =>
  listCheckpoints(run).length > 0 || hasLast(run) || existsSync(checkpointPath(run, 'best'));

/** What tells one network from another: names and shapes of all parameters. */
export function networkHash(parameters: readonly Parameter[]): string {
  const lines = parameters.map(({ name, shape }) => `${name} ${formatShape(shape)}`).sort();
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}

/** Writes a checkpoint atomically. */
export function saveCheckpoint(path: string, tensors: State, state: TrainState): void {
  const named = [...tensors].map(([name, { shape, data }]) => ({ name, dtype: 'F32' as const, shape, data }));
  writeSafetensors(path, named, { format: FORMAT, version: VERSION, state: JSON.stringify(state) });
}

function stateOf(path: string, metadata: Readonly<Record<string, string>>): TrainState {
  if (metadata.format !== FORMAT || metadata.version !== VERSION)
    throw new UserError('run', {
      what: 'this is not a checkpoint of this version',
      where: path,
      got: `${metadata.format ?? 'no format'}, version ${metadata.version ?? 'none'}`,
      expected: `${FORMAT}, version ${VERSION}`,
    });
  const state = stateSchema.safeParse(parseJson(metadata.state));
  if (state.success) return state.data;
  throw new UserError('run', {
    what: 'the training state in this checkpoint is damaged',
    where: path,
    got: state.error.issues[0]?.message ?? '',
  });
}

/** Where a training stands, without its tensors. @throws UserError when the file is damaged, or of another version */
export const readTrainState = (path: string): TrainState =>
  stateOf(path, readSafetensorsHeader(path).metadata);

/**
 * Reads a checkpoint.
 * @param parameters of the network that it must fit; not checked without
 * @throws UserError when it is damaged, of another version, or of another network (naming what differs)
 */
export function loadCheckpoint(path: string, parameters?: readonly Parameter[]): Checkpoint {
  const { tensors, metadata } = readSafetensors(path);
  const state = stateOf(path, metadata);
  const differing = parameters?.flatMap(({ name, shape }) => {
    const found = tensors.get(name);
    if (found && formatShape(found.shape) === formatShape(shape)) return [];
    return [`${name} is ${found ? formatShape(found.shape) : 'missing'}, not ${formatShape(shape)}`];
  });
  if (differing && differing.length > 0)
    throw new UserError('run', {
      what: 'this checkpoint belongs to a different network',
      where: path,
      got:
        differing.slice(0, 3).join('; ') + (differing.length > 3 ? `; and ${differing.length - 3} more` : ''),
      fix: 'use the configuration with which it was trained',
    });
  if (parameters && state.networkHash !== networkHash(parameters))
    throw new UserError('run', {
      what: 'this checkpoint belongs to a different network: it has parameters that this network lacks',
      where: path,
      fix: 'use the configuration with which it was trained',
    });
  const entries = [...tensors].map(([name, { dtype, shape, data }]) => {
    if (dtype === 'F32') return [name, { type: 'float32' as const, shape, data }] as const;
    throw new UserError('run', {
      what: 'a tensor of this checkpoint has the wrong type',
      where: `${path}, ${name}`,
      got: dtype,
      expected: 'F32',
    });
  });
  return { tensors: new Map(entries), state };
}

/**
 * The checkpoint with which a run goes on; null when there is none yet.
 * @throws UserError when it is of another network, or of other data
 */
export function loadLast(run: string, dataHash: string, parameters: readonly Parameter[]): Checkpoint | null {
  if (!hasLast(run)) return null;
  const checkpoint = loadCheckpoint(checkpointPath(run, 'last'), parameters);
  if (checkpoint.state.dataHash !== dataHash)
    throw new UserError('data', {
      what: 'these are not the data that this run was trained on',
      where: run,
      fix: 'pass the same --data, or start a new run',
    });
  return checkpoint;
}

/** @throws UserError when a training that goes on has made more steps than it is now to have */
export function refuseFewerSteps(run: string, steps: number, checkpoint: Checkpoint | null): void {
  if (checkpoint === null || checkpoint.state.step <= steps) return;
  throw new UserError('config', {
    what: 'this run has made more steps than that already',
    where: run,
    got: `steps ${steps}`,
    expected: `at least ${checkpoint.state.step}`,
    fix: 'ask for more steps, or start a new run in another folder',
  });
}

/** Loads a checkpoint of a run. @throws UserError naming those that there are */
export function resolveCheckpoint(run: string, name: CheckpointName): Checkpoint {
  const path = checkpointPath(run, name);
  if (!existsSync(path)) {
    const kept = listCheckpoints(run).map(({ step }) => step);
    throw new UserError('run', {
      what: 'this checkpoint does not exist',
      where: path,
      expected:
        kept.length > 0
          ? `best, last, or one of the steps ${kept.join(', ')}`
          : 'a run that has been trained',
    });
  }
  return loadCheckpoint(path);
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
