/** The raw results of docs/evidence.md: trials, groups of them, and the comparisons that the protocol names. */
import { fileURLToPath } from 'node:url';
import { grouped } from '../../../graphs/onnx/grouped.js';
import { mean } from '../../../src/analysis/statistics.js';
import { type Group, groupOf } from '../../../src/experiments/statistics.js';
import { readTable } from '../../../src/tables/read.js';

export const DOCS = new URL('../../../docs/', import.meta.url);

type Trial = Readonly<Record<string, string>>;

/** The trials of one experiment: `docs/evidence/NAME.csv`, as `p2w experiment` writes it. */
const trialsOf = (name: string): Trial[] =>
  readTable(fileURLToPath(new URL(`evidence/${name}.csv`, DOCS))).rows.map(({ cells }) => cells as Trial);

/** The scores of trials that differ in their seeds only. */
function groupFrom(trials: readonly Trial[]): Group {
  const { target, patients, source, metric } = trials[0]!;
  return groupOf({
    ...{ target: target!, source: source!, metric: metric! },
    ...{ amount: { patients: Number(patients) }, trainingPatients: Number(patients) },
    values: trials.map(({ value }) => Number(value)),
  });
}

const groupsByExperiment = new Map<string, readonly Group[]>();

/** The scores of one experiment. Their intervals take long to compute, and several tables and the figure need them. */
export function groupsOf(name: string): readonly Group[] {
  const known = groupsByExperiment.get(name);
  if (known) return known;
  const alike = grouped(trialsOf(name), ({ target, patients, source }) =>
    [target, patients, source].join('\n'),
  );
  const groups = [...alike.values()].map(groupFrom);
  groupsByExperiment.set(name, groups);
  return groups;
}

/** A comparison of the protocol: Parts2Whole against random weights. */
interface Primary {
  readonly name: string;
  readonly experiment: string;
  /** The experiment that had the defect, where it was computed again without it. */
  readonly before?: string;
  readonly target: string;
  readonly patients: number;
  /** The sources of random weights; of several, the mean for each seed. */
  readonly random: readonly string[];
  readonly ours: string;
}

const UNTRAINED = ['untrained', 'untrained, second draw', 'untrained, third draw'];
const FINE_TUNED = { experiment: 'first-six-fine-tuning', random: ['random'], ours: 'Parts2Whole' };
const PROBED = { experiment: 'first-six-probes', before: 'probes', random: UNTRAINED };
export const IN_DOMAIN = 'nodule crops, 1000 steps';
export const ADRENAL_SHAPES = 'adrenal shapes, 1000 steps';

/** The protocol's primary comparisons. */
export const PRIMARY: readonly Primary[] = [
  {
    name: '1. malignancy, fine-tuning',
    ...{ before: 'malignancy', target: 'malignancy', patients: 8, ...FINE_TUNED },
  },
  {
    name: '2. nodules (segmentation), fine-tuning',
    ...{ before: 'segmentation', target: 'nodules', patients: 16, ...FINE_TUNED },
  },
  {
    name: '3. spiculation, fine-tuning',
    ...{ before: 'spiculation', target: 'spiculation', patients: 64, ...FINE_TUNED },
  },
  {
    name: '4. spiculation, linear probe',
    ...{ target: 'spiculation', patients: 64, ...PROBED, ours: 'Parts2Whole' },
  },
  {
    name: '5. malignancy, linear probe, in the domain',
    ...{ target: 'malignancy', patients: 8, ...PROBED, ours: IN_DOMAIN },
  },
  {
    name: '6. spiculation, linear probe, in the domain',
    ...{ target: 'spiculation', patients: 8, ...PROBED, ours: IN_DOMAIN },
  },
  {
    name: '7. adrenal glands, linear probe, in the domain',
    ...{
      experiment: 'adrenal-again',
      before: 'adrenal',
      target: 'adrenal',
      patients: 8,
      random: UNTRAINED,
      ours: ADRENAL_SHAPES,
    },
  },
  {
    name: '8. nodules (segmentation), fine-tuning, in the domain',
    ...{ experiment: 'segmentation-in-domain', target: 'nodules', patients: 16 },
    ...{ random: ['random'], ours: 'nodule crops, seed 2' },
  },
  {
    name: '9. nodules (segmentation), fine-tuning, in the domain, width 16',
    ...{ experiment: 'segmentation-width', target: 'nodules', patients: 16 },
    ...{ random: ['random'], ours: 'nodule crops, seed 2' },
  },
];

/** The mean of some sources, seed by seed. */
export function meanOf(groups: readonly Group[], source: string): Group {
  const [first] = groups;
  const values = first!.values.map((_, i) => mean(groups.map((group) => group.values[i]!)));
  return groupOf({ ...first!, source, values });
}

/** Groups of a target, in the order of their sources. */
export const groupsFor = (experiment: string, target: string): Group[] =>
  groupsOf(experiment).filter((group) => group.target === target);

/** The two groups of a comparison, random weights first. */
export function groupsIn({
  experiment,
  target,
  patients,
  random,
  ours,
}: Primary): readonly [random: Group, trained: Group] {
  const of = groupsFor(experiment, target).filter((group) => group.trainingPatients === patients);
  const named = (names: readonly string[]) => of.filter(({ source }) => names.includes(source));
  return [meanOf(named(random), 'random'), named([ours])[0]!];
}

export const sourcesOf = (groups: readonly Group[]): string[] => [
  ...new Set(groups.map(({ source }) => source)),
];

/** An experiment with the untrained encoders as one source, for one target. */
export function withoutDraws(experiment: string, target: string): Group[] {
  const groups = groupsFor(experiment, target);
  const [draws, others] = [true, false].map((isDraw) =>
    groups.filter(({ source }) => UNTRAINED.includes(source) === isDraw),
  );
  const means = [...grouped(draws!, ({ trainingPatients }) => `${trainingPatients}`).values()].map((of) =>
    meanOf(of, 'untrained'),
  );
  return [...means, ...others!];
}

/** The tasks on nodules, which most experiments have. */
export const TASKS = ['malignancy', 'spiculation'] as const;

/** What the experiments in the domain pre-train on. */
const ON_CROPS: Readonly<Record<string, string>> = {
  Parts2Whole: 'Parts2Whole, nodule crops',
  'Models Genesis': 'Models Genesis, nodule crops',
};

/** Linear probes and networks that were fine-tuned in the domain, with all numbers of patients. */
export const inDomain = (task: string): Group[] => {
  const shownAs = (groups: readonly Group[], ending: string) =>
    groups.map((group) => ({ ...group, source: `${ON_CROPS[group.source] ?? group.source}${ending}` }));
  const probes = groupsFor('labels-probes', task);
  const isRaw = ({ source }: Group) => source === 'raw intensities';
  return [
    ...shownAs(
      probes.filter((group) => !isRaw(group)),
      '',
    ),
    ...shownAs(groupsFor('labels-rate', task), ', 0.003'),
    ...probes.filter(isRaw),
    ...shownAs(groupsFor('labels-fine-tuning', task), ', fine-tuned'),
  ];
};

/** Sources as a reader knows them, where the experiment's name for them is short. */
const SHOWN: Readonly<Record<string, string>> = {
  Parts2Whole: 'Parts2Whole, CT pool',
  'Parts2Whole, 1000 steps': 'Parts2Whole, CT pool, 1000 steps',
  [IN_DOMAIN]: 'Parts2Whole, nodule crops, 1000 steps',
  [ADRENAL_SHAPES]: 'Parts2Whole, adrenal shapes, 1000 steps',
};
export const shown = (source: string): string => SHOWN[source] ?? source;

/** The networks that were fine-tuned, each with one number of patients. */
export const fineTuned = (task: string): Group[] =>
  [task, 'in-domain']
    .flatMap((experiment) => groupsFor(experiment, task))
    .map((group) => ({ ...group, source: `${shown(group.source)}, fine-tuned` }));

/** A checkpoint of the pre-training along which everything is probed. */
export interface Checkpoint {
  readonly step: number;
  readonly validationMse: number;
  readonly group: Group;
}

/** The checkpoints of Fig. 3, probed for a target. */
export function checkpointsFor(task: string, experiment = 'fig3-again'): Checkpoint[] {
  const own = trialsOf(experiment).filter(({ target }) => target === task);
  return [...grouped(own, ({ step }) => step!).values()].map((trials) => ({
    step: Number(trials[0]!.step),
    validationMse: Number(trials[0]!.validation_mse),
    group: groupFrom(trials),
  }));
}

const SEED = /^(.*), seed (\d+)$/;

/** Pre-trainings that differ in their seeds only: an experiment, and the name of its sources before the seed. */
export interface Kind {
  readonly experiment: string;
  readonly name: string;
}

/** The probes of each pre-training of a kind, by its seed. */
export function pretrainingsOf(task: string, { experiment, name }: Kind): ReadonlyMap<string, Group> {
  return new Map(
    groupsFor(experiment, task).flatMap((group) => {
      const [, source, seed] = SEED.exec(group.source)!;
      return source === name ? [[seed!, group] as const] : [];
    }),
  );
}
