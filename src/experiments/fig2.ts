/** Fig. 2: what the features have learnt, and how that goes along with the reconstruction. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Correlation } from '../analysis/statistics.js';
import { UserError } from '../errors.js';
import { writeTogether } from '../files.js';
import { lineChart, scatter } from '../report/charts.js';
import { Html, html } from '../report/html.js';
import { probability } from '../report/numbers.js';
import { renderPage } from '../report/page.js';
import { figure } from '../report/sections.js';
import { scrollable } from '../report/tables.js';
import { WORDING } from '../report/wording.js';
import { slug } from '../slug.js';
import type { JobResult } from './job-files.js';
import {
  encoderFile,
  exportJob,
  type Job,
  pretrainConfig,
  pretrainJob,
  pretrainJobId,
  runFolder,
  tilesOf,
} from './jobs.js';
import { PAPER_CORRELATIONS } from './paper.js';
import type { ExperimentConfig, Source } from './schema.js';
import { pretrainedAs } from './sources.js';

/** What was found of one encoder, as `p2w analyze` says it. */
interface Measures {
  readonly name: string;
  readonly silhouette: number;
  readonly nearestNeighbour: number;
  readonly overlap: number;
  readonly dPrime: number;
  readonly cosineAuc: number;
  readonly contrastiveLoss: number;
}

interface Checkpoint {
  readonly step: number;
  readonly validationMse: number;
  readonly contrastiveLoss: number;
}

export interface Fig2Result {
  readonly name: 'fig2';
  readonly encoders: readonly Measures[];
  /** Along the pre-training of the last source. */
  readonly checkpoints: readonly Checkpoint[];
  /** Of reconstruction and contrastive loss over them. */
  readonly correlation: Correlation | null;
  readonly files: Readonly<Record<'page' | 'json', string>>;
}

/** Checkpoints along the pre-training beside those that are kept anyway. */
const CHECKPOINTS = 20;
const analysisFolder = (out: string) => join(out, 'analysis');

/** The source whose training is followed: the last one that is pre-trained. @throws UserError when none is */
function followed(sources: readonly Source[]): Source {
  const last = sources.filter(({ pretrain }) => pretrain !== null).at(-1);
  if (last) return last;
  throw new UserError('config', {
    what: 'Fig. 2 needs a pre-trained source',
    where: 'sources',
    expected: 'one with a list of settings in "pretrain"',
  });
}

/** Pre-trainings, exports, the analysis, and the report of the source that is followed. */
export function planFig2(config: ExperimentConfig, sources: readonly Source[], out: string): Job[] {
  const main = followed(sources);
  const { steps } = pretrainConfig(config, main);
  const extra = [`checkpoints.keepEvery=${Math.max(1, Math.floor(steps / CHECKPOINTS))}`];
  const run = pretrainedAs(main, sources);
  const pretraining = sources
    .filter((source) => source.pretrain !== null && pretrainedAs(source, sources) === source)
    .map((source) => pretrainJob(config, source, out, source === run ? extra : []));
  const threads = ['--threads', String(config.threads)];
  const exports = sources.map((source) => exportJob(source, sources, out));
  const models = sources.map((source) => encoderFile(out, source));
  const analysis: Job = {
    id: 'analyze',
    args: [
      ...['analyze', '--data', tilesOf(config), '--out', analysisFolder(out), ...threads],
      ...['--wholes', String(config.maps.wholes), '--parts', String(config.maps.parts)],
      ...['--seed', String(config.seed), '--model', ...models],
      ...['--name', ...sources.map(({ name }) => name)],
    ],
    after: exports.map(({ id }) => id),
  };
  const report: Job = {
    id: 'report',
    args: ['report', '--run', runFolder(out, run)],
    after: [pretrainJobId(run)],
  };
  return [...pretraining, ...exports, analysis, report];
}

function numbers(encoders: readonly Measures[]): Html {
  const heads = ['Encoder', 'Silhouette', '1-NN accuracy', 'Overlap', 'd′', 'Cosine AUC', 'Contrastive loss'];
  const rows = encoders.map(
    (e) =>
      html`<tr><th scope="row">${e.name}</th><td>${e.silhouette.toFixed(3)}</td><td>${(100 * e.nearestNeighbour).toFixed(1)} %</td><td>${e.overlap.toFixed(3)}</td><td>${e.dPrime.toFixed(2)}</td><td>${e.cosineAuc.toFixed(3)}</td><td>${e.contrastiveLoss.toFixed(3)}</td></tr>`,
  );
  return scrollable(
    'Measures of every encoder',
    html`<table class="numbers"><thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${rows}</tbody></table>`,
  );
}

/** The maps that the analysis has drawn. */
function maps(out: string, encoders: readonly Measures[]): Html {
  const figures = encoders.map(({ name }) => {
    const file = join(analysisFolder(out), `tsne-${slug(name)}.svg`);
    return figure(name, new Html(readFileSync(file, 'utf8').replace('<svg ', '<svg class="chart" ')), '');
  });
  return html`<div class="pair">${figures}</div>`;
}

function along(source: string, { checkpoints, correlation }: Fig2Result): Html {
  const loss = { label: 'Contrastive loss', scale: 'linear' } as const;
  const chart = lineChart({
    title: 'Contrastive loss during pre-training',
    x: { label: 'Step', scale: 'linear' },
    y: loss,
    series: [{ name: source, look: 'first', points: checkpoints.map((c) => [c.step, c.contrastiveLoss]) }],
  });
  const against = scatter({
    title: 'Contrastive loss and reconstruction error',
    x: { label: 'Validation MSE', scale: 'log' },
    y: loss,
    points: checkpoints.map((c) => ({ at: [c.validationMse, c.contrastiveLoss], name: `step ${c.step}` })),
  });
  const r = correlation
    ? `r = ${correlation.r.toFixed(2)} over ${correlation.n} checkpoints, ${probability(correlation.p)}`
    : 'not defined';
  return html`<section><h2>During pre-training of ${source}</h2>
<p>Pearson’s r of reconstruction and contrastive loss: ${r}; the paper, on its data: ${PAPER_CORRELATIONS.contrastive}.</p>
<div class="pair">${figure('Contrastive loss', chart, '')}${figure('Against the error', against, '')}</div></section>`;
}

/** Reads what the jobs have found, and writes the page. */
export function writeFig2(
  sources: readonly Source[],
  results: ReadonlyMap<string, JobResult>,
  out: string,
): Fig2Result {
  const report = results.get('report') as unknown as Pick<Fig2Result, 'checkpoints' | 'correlation'>;
  const result: Fig2Result = {
    name: 'fig2',
    encoders: results.get('analyze')!.encoders as readonly Measures[],
    checkpoints: report.checkpoints,
    correlation: report.correlation,
    files: { page: join(out, 'fig2.html'), json: join(out, 'fig2.json') },
  };
  const page = renderPage({
    kicker: 'Parts2Whole experiment: fig2',
    title: 'What the features have learnt',
    lead: 'Do parts of the same whole lie together in feature space, and more so as the reconstruction improves?',
    main: html`<section><h2>Numbers</h2>${numbers(result.encoders)}</section>
<section><h2>t-SNE</h2><p>Each whole has its own colour. Circles are its parts; a larger circle is a larger part. Diamonds are the wholes
themselves. See analysis/analysis.html for UMAP and the distributions of cosine similarity.</p>${maps(out, result.encoders)}</section>
${along(followed(sources).name, result)}`,
    source: WORDING.parts2whole.source,
  });
  writeTogether([
    [result.files.json, `${JSON.stringify(result, null, 2)}\n`],
    [result.files.page, page],
  ]);
  return result;
}

/** The result for people. */
export function formatFig2({ encoders, correlation, files }: Fig2Result): string {
  return [
    ...encoders.map(
      (e) =>
        `${e.name}: silhouette ${e.silhouette.toFixed(3)}, cosine AUC ${e.cosineAuc.toFixed(3)}, contrastive loss ${e.contrastiveLoss.toFixed(3)}`,
    ),
    `reconstruction and contrastive loss: ${correlation ? `r = ${correlation.r.toFixed(2)} over ${correlation.n} checkpoints` : 'r is undefined'}`,
    `wrote ${files.page}`,
  ].join('\n');
}
