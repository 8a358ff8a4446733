import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { checkFinetuneConfig, type FinetuneConfig } from '../config/finetuning.js';
import { isObject } from '../config/layers.js';
import { type Config, checkConfig } from '../config/pretraining.js';
import { sizeSchema } from '../config/training.js';
import { type SampleFormat, sampleFormatSchema } from '../data/samples/manifest.js';
import type { XYZ } from '../data/scan/volume.js';
import { fromSystemError, UserError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { hasCheckpoints } from './checkpoint.js';

/** What the config.json of a pre-training run says. */
export interface RunFacts {
  /** Folder of the tile store, as it was given. */
  readonly data: string;
  /** Voxels of its tiles, x×y×z. */
  readonly tile: XYZ;
  readonly config: Config;
}

/** What the config.json of a fine-tuning run says. */
export interface FinetuneRunFacts {
  /** Folder of the sample store, as it was given. */
  readonly data: string;
  /** What its samples are. */
  readonly format: SampleFormat;
  /** Spacing in mm that all its samples have; null where they differ, or for a run of an earlier version. */
  readonly spacing: XYZ | null;
  readonly config: FinetuneConfig;
}

const millimetres = z.number().positive();
/** The spacing that a run's samples have in common. */
export const spacingSchema = z.tuple([millimetres, millimetres, millimetres]).readonly().nullable();

export const configPath = (run: string): string => join(run, 'config.json');

/** Whether something has been trained in a folder. */
export const isRun = (run: string): boolean => existsSync(configPath(run)) && hasCheckpoints(run);

/** @throws UserError for a folder in which something has been trained */
export function refuseRun(run: string): void {
  if (!isRun(run)) return;
  throw new UserError('run', {
    what: 'this folder already contains a run',
    where: run,
    fix: 'add --resume to continue it, or choose another folder',
  });
}

/** Writes config.json: where the data are, then every key of the resolved configuration. */
export function writeRun(run: string, { config, ...facts }: RunFacts | FinetuneRunFacts): void {
  writeFileAtomic(configPath(run), `${JSON.stringify({ ...facts, ...config }, null, 2)}\n`);
}

function readJson(run: string): Record<string, unknown> {
  const path = configPath(run);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError('run', {
      what: 'this folder does not contain a run',
      where: run,
      expected: 'a folder written by `p2w pretrain --out`, or a trial of `p2w finetune --out`',
      cause: fromSystemError(error, path),
    });
  }
  try {
    return { ...(JSON.parse(text) as Record<string, unknown>) };
  } catch (cause) {
    throw new UserError('run', { what: 'the configuration of the run is damaged', where: path, cause });
  }
}

/** Whether a folder holds a fine-tuning run. */
export const isFinetuneRun = (run: string): boolean => 'kind' in readJson(run);

/** What a pre-training run was started with. @throws UserError when the folder holds none, or its configuration is damaged */
export function readRun(run: string): RunFacts {
  const path = configPath(run);
  // The window was called `hu` as long as there was nothing else.
  const { data, tile, hu, ...settings } = readJson(run);
  const config = hu === undefined ? settings : { window: hu, ...settings };
  if ('kind' in config)
    throw new UserError('run', {
      what: 'this is a fine-tuning run',
      where: run,
      expected: 'a run made by `p2w pretrain`',
    });
  const size = sizeSchema.safeParse(tile);
  if (!size.success)
    throw new UserError('run', {
      what: 'the configuration of the run is damaged',
      where: path,
      got: `tile: ${JSON.stringify(tile)}`,
    });
  return { data: String(data), tile: size.data as XYZ, config: checkConfig(config, path) };
}

/** What a fine-tuning run was started with. @throws UserError as {@link readRun} */
export function readFinetuneRun(run: string): FinetuneRunFacts {
  const { data, format, spacing = null, ...config } = readJson(run);
  const mm = spacingSchema.safeParse(spacing);
  const samples = sampleFormatSchema.safeParse(format);
  const damaged = (got: string) =>
    new UserError('run', { what: 'the configuration of the run is damaged', where: configPath(run), got });
  if (!samples.success) throw damaged(`format: ${samples.error.issues[0]?.message}`);
  if (!mm.success) throw damaged(`spacing: ${JSON.stringify(spacing)}`);
  const read = checkFinetuneConfig(config, configPath(run));
  // Earlier versions took weights for Dice, which has none.
  const balance = read.loss === 'dice' && read.balance === 'weights' ? 'none' : read.balance;
  return { data: String(data), format: samples.data, spacing: mm.data, config: { ...read, balance } };
}

/** Keys that decide nothing of what comes out. */
const IDLE: readonly string[] = ['workers', 'memory', 'recompute'];
/** Keys that may change when a run goes on. */
const FREE: readonly string[] = ['steps', ...IDLE];

/** What tells one run from another, and stays the same when it goes on: its configuration, and a hash of its data. */
export function runHash(config: object, dataHash: string): string {
  const kept = Object.entries(config).filter(([key]) => !FREE.includes(key));
  return createHash('sha256')
    .update(JSON.stringify([kept, dataHash]))
    .digest('hex');
}

/** Dotted names of what differs in two values, with both. */
function differences(saved: unknown, wanted: unknown, path: string): string[] {
  if (isObject(saved) && isObject(wanted))
    return Object.keys({ ...saved, ...wanted }).flatMap((key) =>
      differences(saved[key], wanted[key], `${path}.${key}`),
    );
  const [before, now] = [saved, wanted].map((value) => JSON.stringify(value) ?? 'nothing');
  return before === now ? [] : [`${path}: ${before}, now ${now}`];
}

/**
 * What differs between two configurations: `steps: 100, now 200`.
 * @param ignored keys that may differ; by default those that decide nothing of the result
 */
export function changesOf(saved: object, wanted: object, ignored: readonly string[] = IDLE): string[] {
  const all = wanted as Record<string, unknown>;
  return Object.entries(saved)
    .filter(([key]) => !ignored.includes(key))
    .flatMap(([key, value]) => differences(value, all[key], key));
}

/** @throws UserError naming what differs from what a run was started with, apart from what may change when it goes on */
export function refuseChanges(run: string, saved: object, wanted: object): void {
  const changes = changesOf(saved, wanted, FREE);
  if (changes.length === 0) return;
  throw new UserError('config', {
    what: 'a run must be resumed with the settings it was started with',
    where: configPath(run),
    got: changes.join('; '),
    fix: 'remove these flags, or start a new run in another folder',
  });
}
