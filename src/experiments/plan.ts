/** What has to be run for an experiment, as plain data. */
import { dirname, join } from 'node:path';
import { grouped } from '../../graphs/onnx/grouped.js';
import type { TaskKind } from '../config/finetuning.js';
import { type Config, type PresetName, resolveConfig } from '../config/pretraining.js';
import { fromSettings } from '../config/settings.js';
import { UserError } from '../errors.js';
import { isOnnxFile } from '../onnx-file.js';
import { slug } from '../slug.js';
import {
  type Amount,
  amountsOf,
  type ExperimentConfig,
  type ExperimentName,
  type Source,
  type Target,
} from './schema.js';

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

/** A fine-tuning with what it stands for in the results. */
export interface Trial {
  /** The command that does it; those of a probe that differ in their seeds only share one. */
  readonly job: string;
  readonly target: string;
  readonly source: string;
  readonly amount: Amount;
  readonly seed: number;
  /** Of the pre-training; null for the source's checkpoint. */
  readonly step: number | null;
}

export interface Plan {
  readonly jobs: readonly Job[];
  readonly trials: readonly Trial[];
}

const ENCODER = { classification: 'encoder', segmentation: 'encoder' };
const BOTH = { classification: 'encoder', segmentation: 'encoder,decoder' };

/** Table 1: what pre-training is worth. Models Genesis hands on its decoder too. */
const METHODS: readonly Source[] = [
  { name: 'random', pretrain: null, checkpoint: 'best', load: ENCODER },
  { name: 'genesis', pretrain: ['proxy=genesis', 'network.skip=true'], checkpoint: 'best', load: BOTH },
  { name: 'parts2whole', pretrain: [], checkpoint: 'best', load: ENCODER },
];

const scale = (name: string, low: number, high: number, more: readonly string[] = []): Source => ({
  name,
  pretrain: [`part.scale=[${low},${high}]`, ...more],
  checkpoint: 'best',
  load: more.length > 0 ? BOTH : ENCODER,
});

/** Table 2: skip connections, and sizes of parts. */
const SETTINGS: readonly Source[] = [
  scale('[1⁄16, 1] with skips', 1 / 16, 1, ['network.skip=true']),
  scale('[1⁄16, 1]', 1 / 16, 1),
  scale('[1⁄16, 1⁄2]', 1 / 16, 1 / 2),
  scale('[1⁄16, 1⁄4]', 1 / 16, 1 / 4),
  scale('[1⁄16, 1⁄8]', 1 / 16, 1 / 8),
  scale('[1⁄32, 1⁄16]', 1 / 32, 1 / 16),
];

/** What the paper leaves to the future, in its best setting: rows of their own below Table 2. */
const BEYOND: readonly Source[] = [
  { name: 'with changed intensities', pretrain: ['intensity=0.2'], checkpoint: 'best', load: ENCODER },
  {
    name: 'with a contrastive term',
    pretrain: ['contrastive.weight=0.01'],
    checkpoint: 'best',
    load: ENCODER,
  },
];

const PARTS2WHOLE = METHODS.filter(({ name }) => name === 'parts2whole');

/** The sources that an experiment compares, if its file names no others. */
export const SOURCES: Readonly<Record<ExperimentName, readonly Source[]>> = {
  table1: METHODS,
  table2: [...SETTINGS, ...BEYOND],
  fig2: METHODS,
  fig3: PARTS2WHOLE,
};

/** Checkpoints along a pre-training in Fig. 3, the untrained network among them. */
const FIG3_CHECKPOINTS = 26;

const set = (settings: readonly string[]) => settings.flatMap((setting) => ['--set', setting]);

export const pretrainJobId = ({ name }: Pick<Source, 'name'>): string => `pretrain-${slug(name)}`;
export const runFolder = (out: string, source: Pick<Source, 'name'>): string =>
  join(out, 'runs', pretrainJobId(source));

/** The first of the sources that are pre-trained alike: its run is theirs. @param source one of them */
export function pretrainedAs(source: Source, sources: readonly Source[]): Source {
  const key = ({ pretrain, tiles }: Source) => JSON.stringify([pretrain, tiles]);
  return sources.find((other) => key(other) === key(source))!;
}

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
const exportJobId = (source: Pick<Source, 'name'>, step: number | null): string =>
  `export-${encoderId(source, step)}`;
export const encoderFile = (out: string, source: Pick<Source, 'name'>, step: number | null = null): string =>
  join(out, 'encoders', encoderId(source, step), 'encoder.onnx');

/** The source whose pre-training's checkpoint 0 is the untrained encoder. @throws UserError when none begins with random weights */
function anyPretrained(sources: readonly Source[]): Source {
  const beginsElsewhere = (setting: string) => /^init(\.from)?=/.test(setting);
  const found = sources.find(({ pretrain }) => pretrain !== null && !pretrain.some(beginsElsewhere));
  if (found) return found;
  throw new UserError('config', {
    what: 'encoders to look at come from pre-training runs, the untrained one too',
    where: 'sources',
    expected: 'one with a list of settings in "pretrain", and without "init"',
  });
}

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

/** Settings that give a network from random weights the size of the pre-trained ones. */
function networkSettings(config: ExperimentConfig): string[] {
  const { width, levels, upsampling, norm } = pretrainConfig(config, { pretrain: null }).network;
  return [
    `network.width=${width}`,
    `network.levels=${levels}`,
    `network.upsampling=${upsampling}`,
    `network.norm=${JSON.stringify(norm)}`,
  ];
}

const trialsOf = (config: ExperimentConfig, target: Target): number => target.trials ?? config.trials;

interface TrialOptions extends Omit<Trial, 'job' | 'target' | 'source'> {
  readonly target: Target;
  readonly kind: TaskKind;
  readonly source: Source;
  /** The source whose pre-training it is. */
  readonly run: Source;
}

/** The option of `finetune` that says how much of the data is used, and its value. */
const amountOption = (amount: Amount): readonly [option: string, value: string] =>
  'patients' in amount ? ['patients', String(amount.patients)] : ['fraction', String(amount.fraction)];

function trialJob(config: ExperimentConfig, out: string, trial: TrialOptions): Job {
  const { target, source, run, amount, seed, step, kind } = trial;
  const [option, value] = amountOption(amount);
  const place = [slug(target.name), slug(source.name), `${option}-${value}`];
  // A probe's seeds are trained on the same features, which are computed once for each command.
  const of = [...(step === null ? [] : [`step-${step}`]), ...(target.probe ? [] : [`seed-${seed}`])];
  const id = [...place, ...of].join('-');
  const seeds = target.probe
    ? ['--seed', String(config.seed), '--trials', String(trialsOf(config, target))]
    : ['--seed', String(seed)];
  const checkpoint = step ?? source.checkpoint;
  // An ONNX model has a network of its own, whatever the target's settings say to others.
  const isModel = target.probe || (source.init !== undefined && isOnnxFile(source.init));
  const settings = target.settings.filter((setting) => !(isModel && /^network\b/.test(setting)));
  const from = target.probe
    ? ['--init', source.init ?? encoderFile(out, source, step), '--freeze']
    : source.init !== undefined
      ? ['--init', source.init, ...(isModel || source.init === 'random' ? [] : ['--load', source.load[kind]])]
      : source.pretrain === null
        ? ['--init', 'random', ...set(networkSettings(config))]
        : [
            ...['--init', runFolder(out, run), '--load', source.load[kind]],
            ...(checkpoint === 'best' ? [] : ['--checkpoint', String(checkpoint)]),
          ];
  const needed =
    source.init !== undefined || (source.pretrain === null && !target.probe)
      ? []
      : [target.probe ? exportJobId(source, step) : pretrainJobId(run)];
  return {
    id,
    args: [
      ...['finetune', '--data', target.data, '--out', join(out, 'runs', id), '--resume', ...from],
      ...[...seeds, `--${option}`, value, '--threads', String(config.threads)],
      ...set(settings),
    ],
    after: needed,
  };
}

/** Every seed of every amount of every target from every source. */
export function planTrials(
  config: ExperimentConfig,
  sources: readonly Source[],
  out: string,
  kindOf: (target: Target) => TaskKind,
  steps: readonly (number | null)[] = [null],
): Plan {
  const jobs: Job[] = [];
  const trials: Trial[] = [];
  const most = Math.max(...config.targets.map((target) => trialsOf(config, target)));
  for (let t = 0; t < most; t++)
    for (const target of config.targets.filter((each) => t < trialsOf(config, each)))
      for (const amount of amountsOf(target))
        for (const source of sources)
          for (const step of steps) {
            const seed = config.seed + t;
            const job = trialJob(config, out, {
              ...{ target, source, amount, seed, step },
              kind: kindOf(target),
              run: pretrainedAs(source, sources),
            });
            if (!target.probe || t === 0) jobs.push(job);
            trials.push({ job: job.id, target: target.name, source: source.name, amount, seed, step });
          }
  return { jobs, trials };
}

/** @throws UserError naming jobs that would have the same folder: not all of a name can be part of a file's */
export function checkIds(sources: readonly Source[], { jobs, trials }: Plan): void {
  const shared = [...grouped(jobs, ({ id }) => id).values()].find(({ length }) => length > 1);
  if (!shared) return;
  const { id } = shared[0]!;
  const isOf = (source: Source) => id === pretrainJobId(source) || id === exportJobId(source, null);
  const names = [
    ...sources.filter(isOf).map(({ name }) => name),
    ...trials.filter(({ job }) => job === id).map(({ target, source }) => `${target} from ${source}`),
  ];
  throw new UserError('config', {
    what: 'sources, targets or amounts of data cannot be told apart by the names of their folders',
    where: 'sources, targets',
    got: `${[...new Set(names)].join(', ')}: ${id}`,
    expected: 'names that differ in letters or digits, and each amount of a target once',
  });
}
