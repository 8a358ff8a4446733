/** An experiment as one HTML page and one SVG file: our figures beside the paper's. */
import { grouped } from '../../graphs/onnx/grouped.js';
import type { Point } from '../report/axes.js';
import { lineChart, scatter } from '../report/charts.js';
import { type Content, Html, html } from '../report/html.js';
import { labelWidth } from '../report/label-width.js';
import { probability } from '../report/numbers.js';
import { renderPage } from '../report/page.js';
import { WORDING } from '../report/wording.js';
import { PAPER_CORRELATIONS, PAPER_TABLE_1, PAPER_TABLE_2, type PaperScore } from './paper.js';
import type { ExperimentResult, TrialsName } from './result.js';
import type { ExperimentConfig } from './schema.js';
import { type Comparison, type Group, keyOf, nameOf } from './statistics.js';

const TITLES: Readonly<Record<TrialsName, string>> = {
  table1: 'The benefit of pre-training',
  table2: 'Part sizes and skip connections',
  fig3: 'Target scores during pre-training',
};

const LEADS: Readonly<Record<TrialsName, string>> = {
  table1:
    'Networks initialised at random, from Models Genesis and from Parts2Whole are trained for the same target tasks, with the same seeds and samples.',
  table2:
    'Parts2Whole is pre-trained with parts of different sizes, and with skip connections; each encoder is then trained for the target tasks.',
  fig3: 'Each checkpoint of one pre-training run is trained for the target tasks. If a good proxy task makes a good encoder, scores rise as the reconstruction error falls.',
};

const percent = (value: number) => (100 * value).toFixed(2);
const p = (value: number | null) => (value === null ? '–' : probability(value));
const withSpread = (mean: number, deviation: number | null) =>
  `${percent(mean)}${deviation === null ? '' : ` ± ${percent(deviation)}`}`;

function paperScore(
  { name }: ExperimentResult,
  config: ExperimentConfig,
  group: Group,
): PaperScore | undefined {
  const task = config.targets.find((target) => target.name === group.target)?.paper;
  const table = name === 'table2' ? PAPER_TABLE_2 : PAPER_TABLE_1;
  return task ? table[group.source]?.[task] : undefined;
}

const table = (heads: readonly string[], rows: readonly (readonly Content[])[]): Html =>
  html`<div class="scroll" tabindex="0" role="region" aria-label="${heads[0]!}"><table class="numbers"><thead><tr>${heads.map(
    (head) => html`<th scope="col">${head}</th>`,
  )}</tr></thead><tbody>${rows.map(
    ([first, ...rest]) =>
      html`<tr><th scope="row">${first!}</th>${rest.map((cell) => html`<td>${cell}</td>`)}</tr>`,
  )}</tbody></table></div>`;

function scoresSection(result: ExperimentResult, config: ExperimentConfig): Html[] {
  return [...grouped(result.groups, keyOf)].map(([key, groups]) => {
    const name = nameOf(groups[0]!);
    const best = Math.max(...groups.map(({ mean }) => mean));
    const rows = groups.map((group) => {
      const paper = paperScore(result, config, group);
      const own = withSpread(group.mean, group.deviation);
      return [
        group.source,
        group.mean === best ? html`<strong>${own}</strong>` : own,
        String(group.values.length),
        paper ? `${paper[0].toFixed(2)} ± ${paper[1].toFixed(2)}` : '–',
      ];
    });
    const heads = ['started from', `${groups[0]!.metric}, %`, 'trials', 'the paper, on its data'];
    const tests = result.comparisons.filter((comparison) => keyOf(comparison) === key);
    return html`<section><h2>${name}</h2>
${new Html(trialsDrawing(groups, name))}
${table(heads, rows)}
${comparisonTable(tests)}</section>`;
  });
}

/** Looks of curves in the order of the sources; more than these share the last. */
const LOOKS = ['reference', 'first', 'second', 'third', 'fourth'] as const;
const APART = 1.03;
const lookOf = (i: number) => LOOKS[Math.min(i, LOOKS.length - 1)]!;

/** Scores against the number of training patients, for each target with several of them. */
export function labelCurves({ groups }: Pick<ExperimentResult, 'groups'>): Html[] {
  return [...new Set(groups.map(({ target }) => target))].flatMap((target) => {
    const own = groups.filter((group) => group.target === target);
    if (new Set(own.map(({ trainingPatients }) => trainingPatients)).size < 2) return [];
    const sources = [...new Set(own.map(({ source }) => source))];
    const series = sources.map((source, i) => {
      // A little beside each other, so that their intervals can be told apart.
      const shift = APART ** (i - (sources.length - 1) / 2);
      const of = own
        .filter((group) => group.source === source)
        .sort((a, b) => a.trainingPatients - b.trainingPatients);
      return {
        name: source,
        look: lookOf(i),
        points: of.map((group): Point => [shift * group.trainingPatients, 100 * group.mean]),
        intervals: of.flatMap(({ trainingPatients, interval }) =>
          interval ? [{ x: shift * trainingPatients, low: 100 * interval[0], high: 100 * interval[1] }] : [],
        ),
      };
    });
    return [
      html`<section><h2>${target}: how many labels?</h2><p>Mean over the trials against the number of training patients, with 95 % bootstrap intervals of the mean.</p>
<figure><div class="drawing">${lineChart({
        title: `Scores of ${target} against the number of training patients`,
        x: { label: 'Training patients', scale: 'log' },
        y: { label: `${own[0]!.metric}, %`, scale: 'linear' },
        series,
      })}</div></figure></section>`,
    ];
  });
}

function comparisonTable(tests: readonly Comparison[]): Html | null {
  if (tests.length === 0) return null;
  const rows = tests.map(({ source, against, difference, interval, paired, holm, welch, wilcoxon }) => [
    `${source} − ${against}`,
    percent(difference),
    interval ? `${percent(interval[0])} … ${percent(interval[1])}` : '–',
    p(paired),
    p(holm),
    p(welch),
    p(wilcoxon),
  ]);
  const heads = [
    'difference',
    'points',
    '95 %, bootstrap',
    'paired t-test',
    'with Holm',
    'Welch',
    'Wilcoxon',
  ];
  return table(heads, rows);
}

function checkpointSections(
  { checkpoints, correlations }: ExperimentResult,
  config: ExperimentConfig,
): Html[] {
  return config.targets.map(({ name, paper }) => {
    const points = checkpoints.map(({ step, validationMse, scores }) => ({
      step,
      mse: validationMse,
      ...scores[name]!,
    }));
    const r = correlations[name];
    const theirs = paper === 'NCC' || paper === 'NCS' ? PAPER_CORRELATIONS[paper] : null;
    const steps = { label: 'Step', scale: 'linear' } as const;
    const score = { label: 'Mean score, %', scale: 'linear' } as const;
    return html`<section><h2>${name}</h2><p>Pearson’s r of 1 − MSE and mean score: ${
      r ? `${r.r.toFixed(2)} over ${r.n} checkpoints, ${probability(r.p)}` : 'not defined'
    }${theirs === null ? '' : `; the paper, on its data: ${theirs}`}.</p>
<div class="pair"><figure><div class="drawing">${lineChart({
      title: `Scores of ${name} during pre-training`,
      x: steps,
      y: score,
      series: [
        { name: 'mean', look: 'first', points: points.map(({ step, mean }) => [step, 100 * mean]) },
        {
          name: 'mean − s.d.',
          look: 'faint',
          points: points.map(({ step, mean, deviation }) => [step, 100 * (mean - (deviation ?? 0))]),
        },
        {
          name: 'mean + s.d.',
          look: 'faint',
          points: points.map(({ step, mean, deviation }) => [step, 100 * (mean + (deviation ?? 0))]),
        },
      ],
    })}</div></figure><figure><div class="drawing">${scatter({
      title: `Scores of ${name} and reconstruction error`,
      x: { label: 'Validation MSE', scale: 'log' },
      y: score,
      points: points.map(({ step, mse, mean }) => ({ at: [mse, 100 * mean], name: `step ${step}` })),
    })}</div></figure></div></section>`;
  });
}

/** The experiment's page. */
export function renderExperiment(result: ExperimentResult, config: ExperimentConfig): string {
  const { name } = result;
  return renderPage({
    kicker: `Parts2Whole experiment: ${name}`,
    title: TITLES[name],
    lead: `${LEADS[name]} Preset ${config.preset}${
      config.pretrain.length > 0 ? `, ${config.pretrain.join(', ')}` : ''
    }. The paper’s figures are for its own data and a larger network, so only the order can be compared.`,
    main:
      name === 'fig3'
        ? checkpointSections(result, config)
        : [...labelCurves(result), ...scoresSection(result, config)],
    source: WORDING.parts2whole.source,
  });
}

/** Pixels of a drawing whose names are short; `LEFT` of them, at least, are for the names. */
const [WIDTH, ROW, LEFT, RIGHT, TOP] = [720, 34, 210, 30, 40];

/** Pixels for the names of sources. */
const leftOf = (groups: readonly Pick<Group, 'source'>[]): number =>
  Math.max(LEFT, ...groups.map(({ source }) => Math.ceil(24 + labelWidth(source))));

/** One line a source, a dot a trial, a bar at the mean. */
function trialsDrawing(groups: readonly Group[], title: string, left = leftOf(groups)): string {
  const width = WIDTH - LEFT + left;
  const values = groups.flatMap((group) => group.values);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const room = Math.max(1e-4, (most - least) * 0.05);
  const [low, high] = [least - room, most + room];
  const x = (value: number) => (left + ((value - low) / (high - low)) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const height = TOP + ROW * groups.length + 34;
  const foot = TOP + ROW * groups.length + 6;
  const ticks = [low, (low + high) / 2, high];
  const rows = groups.map(({ source, values: own, mean }, i) => {
    const y = TOP + ROW * i + ROW / 2;
    return html`<text x="${left - 14}" y="${y + 5}" text-anchor="end" fill="currentColor">${source}</text>
<path d="M${left} ${y}H${width - RIGHT}" stroke="#9aa5ad" stroke-opacity=".4"/>
${own.map((value) => html`<circle cx="${x(value)}" cy="${y}" r="4.5" fill="#0b6e99" fill-opacity=".45"/>`)}
<path d="M${x(mean)} ${y - 10}V${y + 10}" stroke="currentColor" stroke-width="2.5"/>`;
  });
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="14" role="img">
<title>${title}</title>
<text x="${left}" y="24" font-weight="600" fill="currentColor">${title}: ${groups[0]!.metric}, %, all trials and the mean</text>
${rows}
${ticks.map((tick) => html`<text x="${x(tick)}" y="${foot + 16}" text-anchor="middle" fill="currentColor">${percent(tick)}</text>`)}
</svg>`.text;
}

/** All targets' trials, one below the other: an SVG file of its own. */
export function trialsChart({ groups }: Pick<ExperimentResult, 'groups'>): string {
  const left = leftOf(groups);
  const width = WIDTH - LEFT + left;
  const drawings = [...grouped(groups, nameOf)].map(([name, of]) => ({
    drawing: trialsDrawing(of, name, left),
    height: TOP + ROW * of.length + 34,
  }));
  const total = drawings.reduce((sum, { height }) => sum + height, 0);
  let y = 0;
  const placed = drawings.map(({ drawing, height }) => {
    const text = drawing.replace('<svg ', `<svg y="${y}" width="${width}" height="${height}" `);
    y += height;
    return new Html(text);
  });
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${total}" color="#1a1e23">
<rect width="100%" height="100%" fill="#fff"/>
${placed}
</svg>
`.text;
}
