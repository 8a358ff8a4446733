/** The tables of docs/evidence.md and docs/evidence/details.md, by the names of their places. */
import { grouped } from '../../../graphs/onnx/grouped.js';
import { holm } from '../../../src/analysis/significance.js';
import { pearson } from '../../../src/analysis/statistics.js';
import { PAPER_CORRELATIONS as PAPER } from '../../../src/experiments/paper.js';
import { type Comparison, compareAll, type Group, groupOf } from '../../../src/experiments/statistics.js';
import {
  ADRENAL_SHAPES,
  type Checkpoint,
  checkpointsFor,
  fineTuned,
  groupsFor,
  groupsIn,
  groupsOf,
  IN_DOMAIN,
  inDomain,
  type Kind,
  meanOf,
  PRIMARY,
  pretrainingsOf,
  shown,
  sourcesOf,
  TASKS,
  withoutDraws,
} from './results.js';

const three = (value: number) => value.toFixed(3).replace('-', '−');
const signed = (value: number) => (value >= 0 ? `+${three(value)}` : three(value));
const spread = ({ mean, deviation }: Group) => `${three(mean)} ± ${three(deviation ?? 0)}`;
const p = (value: number) => (value < 0.001 ? '< 0.001' : value.toPrecision(2));
const table = (heads: readonly string[], rows: readonly (readonly string[])[]) =>
  [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

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
      ...['fig3-again', 'fig3'].flatMap((experiment) =>
        TASKS.map((task) => {
          const of = checkpointsFor(task, experiment);
          const trained = of.filter(({ step }) => step > 0);
          const [first, last] = [of[0]!, of.at(-1)!];
          const name = experiment === 'fig3' ? `${task}, with the defect` : task;
          return [name, `${of.length}`, r(of), r(trained), spread(first.group), spread(last.group)];
        }),
      ),
      ['the paper: nodule detection, nodules', '', `${PAPER.NCC}, ${PAPER.NCS}`, '', '', ''],
    ],
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

/** How the values of one group differ from those of another. */
function differenceRow(ours: Group, theirs: Group): string[] {
  const [{ difference, interval, paired }] = compareAll([theirs, ours]) as [Comparison];
  return [
    `${ours.values.length}`,
    spread(theirs),
    spread(ours),
    `${three(Math.min(...ours.values))}, ${three(Math.max(...ours.values))}`,
    `${signed(difference)} [${signed(interval![0])}, ${signed(interval![1])}]`,
    p(paired!),
  ];
}

/** The comparisons that were computed again: with the defect, and without it. */
const defectTable = (): string =>
  table(
    ['', 'random', 'Parts2Whole', 'difference', 'paired t-test, p'],
    PRIMARY.flatMap(({ before, ...primary }) =>
      before === undefined
        ? []
        : [{ ...primary, experiment: before, name: `${primary.name}, with the defect` }, primary].map(
            (of) => {
              const [random, trained] = groupsIn(of);
              const [{ difference, paired }] = compareAll([random, trained]) as [Comparison];
              return [of.name, spread(random), spread(trained), signed(difference), p(paired!)];
            },
          ),
    ),
  );

/** Pre-trainings of one kind against those of another with the same seeds: of each, the mean over its probes. */
const pretrainingRow = (task: string, ours: Kind, theirs: Kind): string[] =>
  pairedRow(pretrainingsOf(task, ours), pretrainingsOf(task, theirs));

/** The same for pre-trainings by their seeds. */
function pairedRow(a: ReadonlyMap<string, Group>, b: ReadonlyMap<string, Group>): string[] {
  const seeds = [...a.keys()].filter((seed) => b.has(seed));
  const means = (of: ReadonlyMap<string, Group>, source: string) =>
    groupOf({ ...of.get(seeds[0]!)!, source, values: seeds.map((seed) => of.get(seed)!.mean) });
  return differenceRow(means(a, 'ours'), means(b, 'theirs'));
}

const PAIRS = [
  '',
  'pairs',
  'the latter',
  'the former',
  'least and best',
  'difference [95 %]',
  'paired t-test, p',
];

const kinds = (experiment: string, ...names: string[]): Kind[] => names.map((name) => ({ experiment, name }));
const [CROPS, UNTRAINED] = kinds('seeds-again', 'nodule crops', 'untrained') as [Kind, Kind];
const [OLD_CROPS, OLD_UNTRAINED] = kinds('seeds', 'nodule crops', 'untrained') as [Kind, Kind];
const [POOL, TWO_SCANS] = kinds('pool-seeds', '8 scans', '2 scans') as [Kind, Kind];
const [FASTER_CROPS] = kinds('rate', 'nodule crops') as [Kind];

/** Pre-trainings with other seeds, and that of the fifth and the sixth comparison, whose seed is 1. */
const withFirst = (task: string, kind: Kind, first: string): ReadonlyMap<string, Group> =>
  new Map(pretrainingsOf(task, kind)).set(
    '1',
    groupsFor('first-six-probes', task).find((g) => g.source === first && g.trainingPatients === 8)!,
  );

/** Pre-trainings with several seeds beside the networks that they begin from. */
const seedTable = (): string =>
  table(PAIRS, [
    ...TASKS.map((task) => [
      `${task}: all six, with that of the comparisons`,
      ...pairedRow(withFirst(task, CROPS, IN_DOMAIN), withFirst(task, UNTRAINED, 'untrained')),
    ]),
    ...TASKS.map((task) => [
      `${task}: nodule crops against untrained`,
      ...pretrainingRow(task, CROPS, UNTRAINED),
    ]),
    ...TASKS.map((task) => [
      `${task}: the same with the defect`,
      ...pretrainingRow(task, OLD_CROPS, OLD_UNTRAINED),
    ]),
  ]);

/** A larger learning rate against the usual one, untrained networks, and raw intensities. */
const rateTable = (): string =>
  table(
    PAIRS,
    TASKS.flatMap((task) => {
      const all = [...pretrainingsOf(task, FASTER_CROPS).values()];
      const raw = groupsFor('probes', task).find(
        ({ source, trainingPatients }) => source === 'raw intensities' && trainingPatients === 8,
      )!;
      return [
        [`${task}: 0.003 against 0.001`, ...pretrainingRow(task, FASTER_CROPS, CROPS)],
        [`${task}: 0.003 against untrained`, ...pretrainingRow(task, FASTER_CROPS, UNTRAINED)],
        [`${task}: 0.003 against raw intensities`, ...differenceRow(meanOf(all, 'nodule crops'), raw)],
      ];
    }),
  );

/** Out of the domain against untrained, and in the domain against out of it. */
const poolTable = (): string =>
  table(
    PAIRS,
    TASKS.flatMap((task) => [
      [`${task}: CT pool against untrained`, ...pretrainingRow(task, POOL, OLD_UNTRAINED)],
      [`${task}: nodule crops against CT pool`, ...pretrainingRow(task, OLD_CROPS, POOL)],
      // The protocol makes no claim of significance of these.
      [`${task}: two images against CT pool`, ...pretrainingRow(task, TWO_SCANS, POOL).with(-1, '')],
    ]),
  );

/** Of the page with the answer. */
export const mainTables = {
  primary: primaryTable,
  labels: () => labelTable(TASKS.flatMap(inDomain)),
};

/** Of the page with the rest. */
export const detailTables = {
  probes: () => labelTable(TASKS.flatMap((task) => [...withoutDraws('probes', task), ...fineTuned(task)])),
  adrenal: adrenalTable,
  steps: () => labelTable(groupsOf('steps')),
  'steps-in-domain': () => labelTable(groupsOf('steps-in-domain')),
  scans: () => labelTable(groupsOf('scans')),
  seeds: seedTable,
  rate: rateTable,
  pool: poolTable,
  fig3: correlationTable,
  defect: defectTable,
};
