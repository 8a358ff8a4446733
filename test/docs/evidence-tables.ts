/** The tables and the figure of docs/evidence.md, made of the raw results. Run by hand to write them: npx tsx test/docs/evidence-tables.ts */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { grouped } from '../../graphs/onnx/grouped.js';
import { holm } from '../../src/analysis/significance.js';
import { mean, pearson } from '../../src/analysis/statistics.js';
import { PAPER_CORRELATIONS as PAPER } from '../../src/experiments/paper.js';
import { type Comparison, compareAll, type Group, groupOf } from '../../src/experiments/statistics.js';
import type { Axis } from '../../src/report/axes.js';
import { readTable } from '../../src/tables/read.js';
import { type Curve, figureOf, type Look } from './evidence-figure.js';

const DOCS = new URL('../../docs/', import.meta.url);
const FILE = new URL('evidence.md', DOCS);

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
function groupsOf(name: string): readonly Group[] {
  const known = groupsByExperiment.get(name);
  if (known) return known;
  const alike = grouped(trialsOf(name), ({ target, patients, source }) =>
    [target, patients, source].join('\n'),
  );
  const groups = [...alike.values()].map(groupFrom);
  groupsByExperiment.set(name, groups);
  return groups;
}

const three = (value: number) => value.toFixed(3).replace('-', '−');
const signed = (value: number) => (value >= 0 ? `+${three(value)}` : three(value));
const spread = ({ mean, deviation }: Group) => `${three(mean)} ± ${three(deviation ?? 0)}`;
const p = (value: number) => (value < 0.001 ? '< 0.001' : value.toPrecision(2));
const table = (heads: readonly string[], rows: readonly (readonly string[])[]) =>
  [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** A comparison of the protocol: Parts2Whole against random weights. */
interface Primary {
  readonly name: string;
  readonly experiment: string;
  readonly target: string;
  readonly patients: number;
  /** The sources of random weights; of several, the mean for each seed. */
  readonly random: readonly string[];
  readonly ours: string;
}

const UNTRAINED = ['untrained', 'untrained, second draw', 'untrained, third draw'];
const FINE_TUNED = { random: ['random'], ours: 'Parts2Whole' };
const PROBED = { experiment: 'probes', random: UNTRAINED };
const IN_DOMAIN = 'nodule crops, 1000 steps';
const ADRENAL_SHAPES = 'adrenal shapes, 1000 steps';

/** The protocol's primary comparisons. */
const PRIMARY: readonly Primary[] = [
  {
    name: '1. malignancy, fine-tuning',
    ...{ experiment: 'malignancy', target: 'malignancy', patients: 8, ...FINE_TUNED },
  },
  {
    name: '2. nodules (segmentation), fine-tuning',
    ...{ experiment: 'segmentation', target: 'nodules', patients: 16, ...FINE_TUNED },
  },
  {
    name: '3. spiculation, fine-tuning',
    ...{ experiment: 'spiculation', target: 'spiculation', patients: 64, ...FINE_TUNED },
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
];

/** The mean of some sources, seed by seed. */
function meanOf(groups: readonly Group[], source: string): Group {
  const [first] = groups;
  const values = first!.values.map((_, i) => mean(groups.map((group) => group.values[i]!)));
  return groupOf({ ...first!, source, values });
}

/** Groups of a target, in the order of their sources. */
const groupsFor = (experiment: string, target: string): Group[] =>
  groupsOf(experiment).filter((group) => group.target === target);

/** The two groups of a comparison, random weights first. */
function groupsIn({
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

function primaryTable(): string {
  const tests = PRIMARY.map((primary) => {
    const [random, trained] = groupsIn(primary);
    const [comparison] = compareAll([random, trained]);
    return { ...primary, random, trained, comparison: comparison! };
  });
  const corrected = holm(tests.map(({ comparison }) => comparison.paired!));
  return table(
    [
      '',
      'patients',
      'seeds',
      'random',
      'Parts2Whole',
      'difference [95 %]',
      'paired t-test, p',
      'with Holm',
      'Wilcoxon, p',
    ],
    tests.map(
      ({ name, patients, random, trained, comparison: { difference, interval, paired, wilcoxon } }, i) => [
        name,
        String(patients),
        String(trained.values.length),
        spread(random),
        spread(trained),
        `${signed(difference)} [${signed(interval![0])}, ${signed(interval![1])}]`,
        p(paired!),
        p(corrected[i]!),
        p(wilcoxon!),
      ],
    ),
  );
}

const sourcesOf = (groups: readonly Group[]): string[] => [...new Set(groups.map(({ source }) => source))];

/** An experiment with the untrained encoders as one source, for one target. */
function withoutDraws(experiment: string, target: string): Group[] {
  const groups = groupsFor(experiment, target);
  const [draws, others] = [true, false].map((isDraw) =>
    groups.filter(({ source }) => UNTRAINED.includes(source) === isDraw),
  );
  const means = [...grouped(draws!, ({ trainingPatients }) => `${trainingPatients}`).values()].map((of) =>
    meanOf(of, 'untrained'),
  );
  return [...means, ...others!];
}

/** The networks that were fine-tuned, each with one number of patients. */
const fineTuned = (task: string): Group[] =>
  [task, 'in-domain']
    .flatMap((experiment) => groupsFor(experiment, task))
    .map((group) => ({ ...group, source: `${shown(group.source)}, fine-tuned` }));

/** Mean ± standard deviation: tasks and sources down, numbers of training patients across. */
function labelTable(groups: readonly Group[]): string {
  const counts = [...new Set(groups.map(({ trainingPatients }) => trainingPatients))].sort((a, b) => a - b);
  return table(
    ['', ...counts.map((count) => `${count} patients`)],
    [...grouped(groups, ({ target }) => target)].flatMap(([task, own]) =>
      sourcesOf(own).map((source) => [
        `${task}: ${shown(source)}`,
        ...counts.map((count) => {
          const group = own.find((g) => g.source === source && g.trainingPatients === count);
          return group ? spread(group) : '';
        }),
      ]),
    ),
  );
}

/** Of the shapes of adrenal glands, with what came out before the gradients were corrected. */
const adrenalTable = (): string =>
  labelTable([
    ...withoutDraws('adrenal-again', 'adrenal'),
    ...groupsFor('adrenal', 'adrenal')
      .filter(({ source }) => source === ADRENAL_SHAPES)
      .map((group) => ({ ...group, source: `${shown(ADRENAL_SHAPES)}, with the defect` })),
  ]);

/** The tasks on nodules, which most experiments have. */
const TASKS = ['malignancy', 'spiculation'] as const;

/** Sources as a reader knows them, where the experiment's name for them is short. */
const SHOWN: Readonly<Record<string, string>> = {
  Parts2Whole: 'Parts2Whole, CT pool',
  'Parts2Whole, 1000 steps': 'Parts2Whole, CT pool, 1000 steps',
  [IN_DOMAIN]: 'Parts2Whole, nodule crops, 1000 steps',
  [ADRENAL_SHAPES]: 'Parts2Whole, adrenal shapes, 1000 steps',
};
const shown = (source: string): string => SHOWN[source] ?? source;

const [GREY, BLUE, GREEN] = ['#4a545e', '#0a66a8', '#2e7d32'];
const LOOKS: Readonly<Record<string, Look>> = {
  untrained: { colour: GREY, dashes: '6 4' },
  Parts2Whole: { colour: BLUE },
  'Parts2Whole, 1000 steps': { colour: '#3d9be0', dashes: '7 3' },
  'Models Genesis, 1000 steps': { colour: '#c4560a', dashes: '7 3' },
  [IN_DOMAIN]: { colour: GREEN },
  [ADRENAL_SHAPES]: { colour: GREEN },
  'raw intensities': { colour: '#8e3a9d', dashes: '2 3' },
};
const BY_LABELS: Axis = { label: 'Training patients', scale: 'log' };
const BY_STEPS: Axis = { label: 'Steps of pre-training', scale: 'linear' };

/** Linear probes of all sources of an experiment. */
function probeCurves(experiment: string, task: string): Curve[] {
  const probes = withoutDraws(experiment, task);
  return sourcesOf(probes).map((source) => ({
    name: shown(source),
    look: LOOKS[source]!,
    points: probes
      .filter((group) => group.source === source)
      .sort((a, b) => a.trainingPatients - b.trainingPatients)
      .map((group) => ({ x: group.trainingPatients, group })),
  }));
}

/** The networks that were fine-tuned, as points. */
const tunedCurves = (task: string): Curve[] =>
  fineTuned(task).map((group, i) => ({
    name: group.source,
    look: { colour: [GREY, BLUE, GREEN][i]!, hollow: true },
    points: [{ x: group.trainingPatients, group }],
  }));

/** Of probes along the pre-training on the CT pool, for each number of patients. */
function stepCurves(task: string): Curve[] {
  const groups = groupsFor('steps', task).filter(({ source }) => /^\d+ steps$/.test(source));
  const dashes: Readonly<Record<number, string>> = { 16: '2 3', 64: '7 3', 244: 'none' };
  return [...new Set(groups.map(({ trainingPatients }) => trainingPatients))].map((patients) => ({
    name: `${patients} patients`,
    look: { colour: BLUE, dashes: dashes[patients]! },
    points: groups
      .filter((group) => group.trainingPatients === patients)
      .map((group) => ({ x: Number.parseInt(group.source, 10), group })),
  }));
}

/** A checkpoint of the pre-training along which everything is probed. */
interface Checkpoint {
  readonly step: number;
  readonly validationMse: number;
  readonly group: Group;
}

/** The checkpoints of `fig3.csv`, probed for a target. */
function checkpointsFor(task: string): Checkpoint[] {
  const own = trialsOf('fig3').filter(({ target }) => target === task);
  return [...grouped(own, ({ step }) => step!).values()].map((trials) => ({
    step: Number(trials[0]!.step),
    validationMse: Number(trials[0]!.validation_mse),
    group: groupFrom(trials),
  }));
}

/** Pearson's correlation of scores with the error of reconstruction, along a pre-training. */
function correlationTable(): string {
  const r = (of: readonly Checkpoint[]) =>
    three(
      pearson(
        of.map(({ validationMse }) => 1 - validationMse),
        of.map(({ group }) => group.mean),
      )!.r,
    );
  return table(
    ['', 'checkpoints', 'Pearson’s r', 'r without the untrained network', 'AUC: untrained', 'AUC: last'],
    [
      ...TASKS.map((task) => {
        const of = checkpointsFor(task);
        const trained = of.filter(({ step }) => step > 0);
        const [first, last] = [of[0]!, of.at(-1)!];
        return [task, `${of.length}`, r(of), r(trained), spread(first.group), spread(last.group)];
      }),
      ['the paper: nodule detection, nodules', '', `${PAPER.NCC}, ${PAPER.NCS}`, '', '', ''],
    ],
  );
}

const SEED = /^(.*), seed (\d+)$/;

/** Pre-trainings that differ in their seeds only, of one kind: the mean over the probes of each, by its seed. */
function pretrainingsOf(
  task: string,
  kind: string,
  experiments: readonly string[] = ['seeds', 'pool-seeds'],
): ReadonlyMap<string, Group> {
  const all = experiments.flatMap((experiment) => groupsFor(experiment, task));
  return new Map(
    all.flatMap((group) => {
      const [, source, seed] = SEED.exec(group.source)!;
      return source === kind ? [[seed!, group] as const] : [];
    }),
  );
}

/** Pre-trainings of one kind against those of another with the same seeds. */
function pretrainingRow(
  task: string,
  kind: string,
  against: string,
  experiments?: readonly string[],
): string[] {
  const [ours, theirs] = [kind, against].map((one) => pretrainingsOf(task, one, experiments)) as [
    ReadonlyMap<string, Group>,
    ReadonlyMap<string, Group>,
  ];
  const seeds = [...ours.keys()].filter((seed) => theirs.has(seed));
  const groupOfMeans = (source: string, of: ReadonlyMap<string, Group>) =>
    groupOf({ ...of.get(seeds[0]!)!, source, values: seeds.map((seed) => of.get(seed)!.mean) });
  const [a, b] = [groupOfMeans(kind, ours), groupOfMeans(against, theirs)];
  const [{ difference, interval, paired }] = compareAll([b, a]) as [Comparison];
  return [
    `${seeds.length}`,
    spread(b),
    spread(a),
    `${three(Math.min(...a.values))}, ${three(Math.max(...a.values))}`,
    `${signed(difference)} [${signed(interval![0])}, ${signed(interval![1])}]`,
    p(paired!),
  ];
}

const OF_PAIRS = ['least and best', 'difference [95 %]', 'paired t-test, p'];

/** Pre-trainings with several seeds beside the networks that they begin from. */
const seedTable = (): string =>
  table(
    ['', 'pairs', 'untrained', 'pre-trained', ...OF_PAIRS],
    [
      ...TASKS.map((task) => [
        `${task}, with right gradients`,
        ...pretrainingRow(task, 'nodule crops', 'untrained', ['seeds-again']),
      ]),
      ...TASKS.map((task) => [
        `${task}, with the defect`,
        ...pretrainingRow(task, 'nodule crops', 'untrained'),
      ]),
    ],
  );

/** Out of the domain against untrained, and in the domain against out of it. */
const poolTable = (): string =>
  table(
    ['', 'pairs', 'the latter', 'the former', ...OF_PAIRS],
    TASKS.flatMap((task) => [
      [`${task}: CT pool against untrained`, ...pretrainingRow(task, '8 scans', 'untrained')],
      [`${task}: nodule crops against CT pool`, ...pretrainingRow(task, 'nodule crops', '8 scans')],
      // The protocol makes no claim of significance of these.
      [`${task}: two images against CT pool`, ...pretrainingRow(task, '2 scans', '8 scans').with(-1, '')],
    ]),
  );

/** A dot a checkpoint. */
const checkpointCurves = (task: string): Curve[] => [
  {
    name: 'checkpoints of a pre-training on nodule crops',
    look: { colour: GREEN, scattered: true },
    points: checkpointsFor(task).map(({ validationMse, group }) => ({ x: 1 - validationMse, group })),
  },
];
const BY_ERROR: Axis = { label: '1 − validation MSE', scale: 'linear' };

/** Scores against the number of labels, the steps of pre-training, and the error of reconstruction. */
export const figure = (): string =>
  figureOf('AUC against the number of labels, the steps of pre-training, and the error of reconstruction', [
    TASKS.map((task) => ({
      title: `${task}: AUC of linear probes`,
      x: BY_LABELS,
      curves: [...probeCurves('probes', task), ...tunedCurves(task)],
    })),
    [
      {
        title: 'adrenal glands: AUC of linear probes',
        x: BY_LABELS,
        curves: probeCurves('adrenal-again', 'adrenal'),
      },
    ],
    TASKS.map((task) => ({
      title: `${task}: AUC during pre-training`,
      x: BY_STEPS,
      curves: stepCurves(task),
    })),
    TASKS.map((task) => ({
      title: `${task}: AUC against reconstruction`,
      x: BY_ERROR,
      curves: checkpointCurves(task),
    })),
  ]);

/** By the name of its place in the document. */
export const tables: Readonly<Record<string, () => string>> = {
  primary: primaryTable,
  probes: () => labelTable(TASKS.flatMap((task) => [...withoutDraws('probes', task), ...fineTuned(task)])),
  adrenal: adrenalTable,
  steps: () => labelTable(groupsOf('steps')),
  scans: () => labelTable(groupsOf('scans')),
  seeds: seedTable,
  pool: poolTable,
  fig3: correlationTable,
};

/** Where the figure is. */
export const FIGURE = new URL('evidence/curves.svg', DOCS);

const place = (name: string) => new RegExp(`(?<=<!-- ${name} -->\n)[\\s\\S]*?(?=\n<!-- /${name} -->)`);

export const document = (): string => readFileSync(FILE, 'utf8');
/** A table as it stands in the document. */
export const written = (name: string): string | undefined => place(name).exec(document())?.[0].trim();

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const filled = Object.entries(tables).reduce(
    (text, [name, make]) => text.replace(place(name), () => `\n${make()}\n`),
    document(),
  );
  writeFileSync(FILE, filled);
  writeFileSync(FIGURE, figure());
}
