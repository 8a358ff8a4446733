import type { CheckpointScores, GreyImage, ReportData, Sample, Slices } from './data.js';
import { type Content, type Html, html } from './html.js';
import { picture } from './images.js';
import { columnFormat, percent, shortNumber, wholeNumber } from './numbers.js';
import { WORDING } from './wording.js';

const PLANES = ['Axial', 'Coronal', 'Sagittal'] as const;

/** What the network was given and what it answered, checkpoint by checkpoint. */
export function samplesSection({ samples, proxy }: ReportData): Html | null {
  if (samples.length === 0) return null;
  return html`<section><h2>Inputs and reconstructions</h2>
<p>${WORDING[proxy].pictures}
It was not trained on these wholes. The middle slice is shown in three planes. To the right of the line are the outputs of the
checkpoints, from early to late, with their error over the entire volume.</p>
${samples.map((sample) => sampleFigure(sample, WORDING[proxy].input))}</section>`;
}

function sampleFigure({ name, whole, part, reconstructions }: Sample, input: string): Html {
  const columns: { title: string; note: Content; slices: Slices; alt: string; style: string }[] = [
    { title: 'Whole', note: 'the truth', slices: whole, alt: 'the whole', style: '' },
    { title: input, note: 'the input', slices: part, alt: 'the input', style: '' },
    ...reconstructions.map(({ step, mse, slices }) => ({
      title: `Step ${wholeNumber(step)}`,
      note: `MSE ${shortNumber(mse)}`,
      slices,
      alt: `the output at step ${wholeNumber(step)}`,
      style: 'answer',
    })),
  ];
  const heads = columns.map(
    (c) => html`<th scope="col" class="${c.style}">${c.title}<small>${c.note}</small></th>`,
  );
  const rows = PLANES.map((plane, i) => {
    const cell = (image: GreyImage, alt: string) => picture(image, `${plane} slice of ${alt}, ${name}`);
    const cells = columns.map((c) => html`<td class="${c.style}">${cell(c.slices[i]!, c.alt)}</td>`);
    return html`<tr><th scope="row">${plane}</th>${cells}</tr>`;
  });
  return html`<figure class="sample"><figcaption>${name}</figcaption>${scrollable(
    `Slices of ${name}`,
    html`<table class="slices"><thead><tr><td></td>${heads}</tr></thead><tbody>${rows}</tbody></table>`,
  )}</figure>`;
}

/** The scores of every checkpoint, the best of each column in bold. */
export function checkpointsSection({ checkpoints }: ReportData): Html | null {
  if (checkpoints.length === 0) return null;
  const fixed3 = (value: number) => (Number.isFinite(value) ? value.toFixed(3) : '–');
  const columns: Column[] = [
    {
      title: 'Validation MSE',
      key: 'validationMse',
      format: columnFormat(checkpoints.map((c) => c.validationMse)),
      best: Math.min,
    },
    { title: 'Contrastive loss', key: 'contrastiveLoss', format: fixed3, best: Math.min },
    { title: '1-NN accuracy', key: 'nearestNeighbour', format: percent, best: Math.max },
    { title: 'Cosine AUC', key: 'cosineAuc', format: fixed3, best: Math.max },
  ];
  const cells = columns.map(({ key, format, best }) => {
    const winner = best(...checkpoints.map((c) => c[key]).filter(Number.isFinite));
    return (c: CheckpointScores) =>
      c[key] === winner
        ? html`<td><strong>${format(c[key])}</strong></td>`
        : html`<td>${format(c[key])}</td>`;
  });
  const rows = checkpoints.map(
    (c) => html`<tr><th scope="row">${wholeNumber(c.step)}</th>${cells.map((cell) => cell(c))}</tr>`,
  );
  return html`<section><h2>Every checkpoint</h2><p>The best of each column is bold.</p>${scrollable(
    'Scores of every checkpoint',
    html`<table class="numbers steps"><thead><tr><th scope="col">Step</th>${columns.map(
      ({ title }) => html`<th scope="col">${title}</th>`,
    )}</tr></thead><tbody>${rows}</tbody></table>`,
  )}</section>`;
}

interface Column {
  readonly title: string;
  readonly key: Exclude<keyof CheckpointScores, 'step'>;
  readonly format: (value: number) => string;
  readonly best: (...values: number[]) => number;
}

/** Time, machine and configuration of the run. */
export function runSection({
  timing,
  machine,
  configuration,
}: Pick<ReportData, 'timing' | 'machine' | 'configuration'>): Html {
  const configured = Object.fromEntries(leaves(configuration));
  return html`<section><h2>The run</h2><div class="pair">
<div><h3>Time and throughput</h3>${facts(timing)}</div>
<div><h3>Machine</h3>${facts(machine)}</div></div>
<details><summary>Configuration</summary>${facts(configured)}</details></section>`;
}

function facts(entries: Readonly<Record<string, string>>): Html {
  const rows = Object.entries(entries).map(
    ([key, value]) => html`<tr><th scope="row">${key}</th><td>${value}</td></tr>`,
  );
  if (rows.length === 0) return html`<p class="absent">Nothing recorded.</p>`;
  return html`<table class="facts"><tbody>${rows}</tbody></table>`;
}

/** The values of a nested object with their dotted names, as they are written in flags and files. */
function leaves(value: unknown, path = ''): [name: string, value: string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [[path, typeof value === 'string' ? value : (JSON.stringify(value) ?? '–')]];
  }
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path ? `${path}.${key}` : key));
}

/** Scrolls sideways within itself where the screen is narrow, by finger or by keyboard. */
export function scrollable(label: string, content: Html): Html {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">${content}</div>`;
}
