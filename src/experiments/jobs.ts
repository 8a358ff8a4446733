/** Commands that pre-train the encoders of an experiment and export them, as plain data. */
import { dirname, join } from 'node:path';
import { type Config, type PresetName, resolveConfig } from '../config/pretraining.js';
import { fromSettings } from '../config/settings.js';
import { UserError } from '../errors.js';
import { slug } from '../slug.js';
import type { ExperimentConfig, Source } from './schema.js';
import { anyPretrained, pretrainedAs } from './sources.js';

/** One command of `p2w`. */
export interface Job {
  /** Unique, and the name of its files. */
  readonly id: string;
  readonly args: readonly string[];
  /** Jobs that must be done before. */
  readonly after: readonly string[];
  /** A digest of all that decides its result, where it is known. */
  readonly basis?: string;
}

/** Checkpoints along a pre-training in Fig. 3, the untrained network among them. */
const FIG3_CHECKPOINTS = 26;

/** Settings as arguments of a command. */
export const set = (settings: readonly string[]) => settings.flatMap((setting) => ['--set', setting]);

export const pretrainJobId = ({ name }: Pick<Source, 'name'>): string => `pretrain-${slug(name)}`;
export const runFolder = (out: string, source: Pick<Source, 'name'>): string =>
  join(out, 'runs', pretrainJobId(source));

/** All settings of a source's pre-training. */
const pretrainSettings = (
  { seed, pretrain }: Pick<ExperimentConfig, 'seed' | 'pretrain'>,
  source: Pick<Source, 'pretrain'>,
) => [`seed=${seed}`, ...pretrain, ...(source.pretrain ?? [])];

/** Every key of a source's pre-training. @throws UserError for unknown keys and impossible values */
export const pretrainConfig = (
  config: Pick<ExperimentConfig, 'preset' | 'seed' | 'pretrain'>,
  source: Pick<Source, 'pretrain'>,
): Config =>
  resolveConfig({
    config: fromSettings(pretrainSettings(config, source), { preset: config.preset as PresetName }),
  });

/** Steps of a pre-training whose checkpoints are worth looking at, evenly spread, 0 among them. */
export function checkpointSteps({ steps }: Pick<Config, 'steps'>): number[] {
  const spacing = Math.max(1, Math.floor(steps / (FIG3_CHECKPOINTS - 1)));
  return Array.from({ length: Math.floor(steps / spacing) + 1 }, (_, i) => i * spacing);
}

/** What is trained on without labels. @throws UserError where neither the source nor the experiment says */
export function tilesOf(config: Pick<ExperimentConfig, 'tiles'>, source?: Pick<Source, 'tiles'>): string {
  const tiles = source?.tiles ?? config.tiles;
  if (tiles !== undefined) return tiles;
  throw new UserError('config', {
    what: 'this experiment needs tiles',
    where: 'tiles',
    expected: 'a tile store of `p2w prepare`; only sources with "pretrain": null need none',
  });
}

export function pretrainJob(
  config: ExperimentConfig,
  source: Source,
  out: string,
  extra: readonly string[] = [],
): Job {
  const { preset, threads } = config;
  const tiles = tilesOf(config, source);
  return {
    id: pretrainJobId(source),
    args: [
      ...['pretrain', '--data', tiles, '--out', runFolder(out, source), '--preset', preset, '--resume'],
      ...['--threads', String(threads)],
      ...set([...pretrainSettings(config, source), ...extra]),
    ],
    after: [],
  };
}

/** @param step of a checkpoint; null for the source's */
const encoderId = (source: Pick<Source, 'name'>, step: number | null): string =>
  [pretrainJobId(source), ...(step === null ? [] : [`step-${step}`])].join('-');
export const exportJobId = (source: Pick<Source, 'name'>, step: number | null): string =>
  `export-${encoderId(source, step)}`;
export const encoderFile = (out: string, source: Pick<Source, 'name'>, step: number | null = null): string =>
  join(out, 'encoders', encoderId(source, step), 'encoder.onnx');

/** The encoder of a source as an ONNX model. @param step of a checkpoint; null for the source's */
export function exportJob(
  source: Source,
  sources: readonly Source[],
  out: string,
  step: number | null = null,
): Job {
  const isUntrained = source.pretrain === null;
  const run = pretrainedAs(isUntrained ? anyPretrained(sources) : source, sources);
  const checkpoint = step ?? (isUntrained ? 0 : source.checkpoint);
  return {
    id: exportJobId(source, step),
    args: [
      ...['export', '--run', runFolder(out, run), '--out', dirname(encoderFile(out, source, step))],
      ...(checkpoint === 'best' ? [] : ['--checkpoint', String(checkpoint)]),
    ],
    after: [pretrainJobId(run)],
  };
}
