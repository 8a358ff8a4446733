/** The tables and the figure of docs/evidence.md, made of the raw results. Run by hand to write them: npx tsx test/docs/evidence-tables.ts */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { grouped } from '../../graphs/onnx/grouped.js';
import { holm } from '../../src/analysis/significance.js';
import { trialsChart } from '../../src/experiments/page.js';
import { compareAll, type Group, groupOf } from '../../src/experiments/statistics.js';
import { readTable } from '../../src/tables/read.js';

const DOCS = new URL('../../docs/', import.meta.url);
const FILE = new URL('evidence.md', DOCS);

/** The scores of one experiment: `docs/evidence/NAME.csv`, as `p2w experiment` writes it. */
function groupsOf(name: string): Group[] {
  const { rows } = readTable(fileURLToPath(new URL(`evidence/${name}.csv`, DOCS)));
  const cells = grouped(rows, ({ cells: { target, patients, source } }) =>
    [target, patients, source].join('\n'),
  );
  return [...cells.values()].map((of) => {
    const { target, patients, source, metric } = of[0]!.cells as Record<string, string>;
    return groupOf({
      ...{ target: target!, source: source!, metric: metric! },
      ...{ amount: { patients: Number(patients) }, trainingPatients: Number(patients) },
      values: of.map(({ cells: { value } }) => Number(value)),
    });
  });
}

const three = (value: number) => value.toFixed(3).replace('-', '−');
const signed = (value: number) => (value >= 0 ? `+${three(value)}` : three(value));
const spread = ({ mean, deviation }: Group) => `${three(mean)} ± ${three(deviation ?? 0)}`;
const p = (value: number) => (value < 0.001 ? '< 0.001' : value.toPrecision(2));
const table = (heads: readonly string[], rows: readonly (readonly string[])[]) =>
  [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** A comparison of the protocol: Parts2Whole against random weights. */
interface Primary {
  readonly experiment: string;
  readonly target: string;
  readonly patients: number;
}

/** The protocol's primary comparisons that have been run, of {@link PRIMARY_COUNT}. */
const PRIMARY: readonly Primary[] = [
  { experiment: 'malignancy', target: 'malignancy', patients: 8 },
  { experiment: 'spiculation', target: 'spiculation', patients: 64 },
];
const PRIMARY_COUNT = 3;

/** The two groups of a comparison, random weights first. */
function groupsIn({ experiment, target, patients }: Primary): readonly [random: Group, ours: Group] {
  const of = groupsOf(experiment).filter((g) => g.target === target && g.trainingPatients === patients);
  const [random, ours] = ['random', 'Parts2Whole'].map((name) => of.find(({ source }) => source === name)!);
  return [random!, ours!];
}

/** All trials of the comparisons, as an SVG file. */
export const figure = (): string => trialsChart({ groups: PRIMARY.flatMap(groupsIn) });

function primaryTable(): string {
  const tests = PRIMARY.map((primary) => {
    const [random, ours] = groupsIn(primary);
    const [comparison] = compareAll([random, ours]);
    return { ...primary, random, ours, comparison: comparison! };
  });
  // What has not been run yet counts as not significant.
  const missing = Array.from({ length: PRIMARY_COUNT - tests.length }, () => 1);
  const corrected = holm([...tests.map(({ comparison }) => comparison.paired!), ...missing]);
  return table(
    [
      '',
      'seeds',
      'random',
      'Parts2Whole',
      'difference [95 %]',
      'paired t-test, p',
      'with Holm',
      'Wilcoxon, p',
    ],
    tests.map(
      ({ target, patients, random, ours, comparison: { difference, interval, paired, wilcoxon } }, i) => [
        `${target}, ${patients} patients, ${random.metric === 'auc' ? 'AUC' : 'Dice'}`,
        String(ours.values.length),
        spread(random),
        spread(ours),
        `${signed(difference)} [${signed(interval![0])}, ${signed(interval![1])}]`,
        p(paired!),
        p(corrected[i]!),
        p(wilcoxon!),
      ],
    ),
  );
}

/** Mean ± standard deviation: sources down, numbers of training patients across. */
function labelTable(experiment: string): string {
  const groups = groupsOf(experiment);
  const counts = [...new Set(groups.map(({ trainingPatients }) => trainingPatients))].sort((a, b) => a - b);
  const sources = [...new Set(groups.map(({ source }) => source))];
  return table(
    ['', ...counts.map((count) => `${count} patients`)],
    sources.map((source) => [
      source,
      ...counts.map((count) => {
        const group = groups.find((g) => g.source === source && g.trainingPatients === count);
        return group ? spread(group) : '';
      }),
    ]),
  );
}

/** By the name of its place in the document. */
export const tables: Readonly<Record<string, () => string>> = {
  primary: primaryTable,
  probes: () => labelTable('probes'),
};

/** Where the figure is. */
export const FIGURE = new URL('evidence/trials.svg', DOCS);

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
