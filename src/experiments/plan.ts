/** What has to be run for an experiment, as plain data. */
import { join } from 'node:path';
import { grouped } from '../../graphs/onnx/grouped.js';
import type { TaskKind } from '../config/finetuning.js';
import { UserError } from '../errors.js';
import { isOnnxFile } from '../onnx-file.js';
import { slug } from '../slug.js';
import { encoderFile, exportJobId, type Job, pretrainConfig, pretrainJobId, runFolder, set } from './jobs.js';
import { type Amount, amountsOf, type ExperimentConfig, type Source, type Target } from './schema.js';
import { pretrainedAs } from './sources.js';

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
