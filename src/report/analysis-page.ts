/** The analysis of encoders, side by side, as a page of its own. */
import type { ContrastiveBounds } from '../analysis/contrastive.js';
import type { CosineSeparation } from '../analysis/cosine.js';
import { histogram } from './charts.js';
import { type EmbeddedPart, embeddingFigure } from './embedding-chart.js';
import { type Html, html } from './html.js';
import { renderPage } from './page.js';
import { figure } from './sections.js';
import { scrollable } from './tables.js';
import { WORDING } from './wording.js';

/** What is known of one encoder. */
export interface EncoderAnalysis {
  readonly name: string;
  readonly dimensions: number;
  /** Of the embedded parts: mean silhouette with cosine distance, share whose nearest part is of the same whole. */
  readonly silhouette: number;
  readonly nearestNeighbour: number;
  readonly tsne: readonly EmbeddedPart[];
  readonly umap: readonly EmbeddedPart[];
  readonly cosine: CosineSeparation;
  readonly contrastiveLoss: number;
}

export interface AnalysisPageData {
  readonly createdAt: string;
  readonly encoders: readonly EncoderAnalysis[];
  readonly bounds: ContrastiveBounds;
  /** Wholes and parts of each that are embedded, and that pairs are drawn from. */
  readonly embedded: { readonly wholes: number; readonly parts: number };
  readonly paired: { readonly wholes: number; readonly parts: number };
}

const percent = (value: number) => `${(100 * value).toFixed(1)} %`;

function numbersSection({ encoders, bounds }: AnalysisPageData): Html {
  const rows = encoders.map(
    ({ name, silhouette, nearestNeighbour, cosine, contrastiveLoss }) =>
      html`<tr><th scope="row">${name}</th><td>${silhouette.toFixed(3)}</td><td>${percent(nearestNeighbour)}</td><td>${cosine.overlap.toFixed(3)}</td><td>${cosine.dPrime.toFixed(2)}</td><td>${cosine.auc.toFixed(3)}</td><td>${contrastiveLoss.toFixed(3)}</td></tr>`,
  );
  const heads = ['Encoder', 'Silhouette', '1-NN accuracy', 'Overlap', 'd′', 'Cosine AUC', 'Contrastive loss'];
  return html`<section><h2>Numbers</h2>
<p>Silhouette and 1-NN accuracy use the parts in the maps below. Overlap (lower is better), d′ and AUC compare pairs of parts of the same
whole with pairs of parts of two wholes. The contrastive loss is ${bounds.collapsed.toFixed(3)} if all features are equal, and can fall to
${bounds.separated.toFixed(3)}.</p>
${scrollable(
  'Measures of every encoder',
  html`<table class="numbers"><thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${rows}</tbody></table>`,
)}</section>`;
}

function mapsSection(
  title: string,
  note: string,
  encoders: readonly EncoderAnalysis[],
  key: 'tsne' | 'umap',
): Html {
  return html`<section><h2>${title}</h2><p>${note}</p><div class="pair">${encoders.map((encoder) =>
    figure(encoder.name, embeddingFigure(`${title} of ${encoder.name}`, encoder[key]), ''),
  )}</div></section>`;
}

function cosineSection({ encoders }: AnalysisPageData): Html {
  return html`<section><h2>Cosine similarity of pairs</h2>
<p>Features after a ReLU are never negative, so even those of an untrained network are similar. What counts is how far apart the two
distributions are.</p><div class="pair">${encoders.map(({ name, cosine }) =>
    figure(
      name,
      histogram({
        title: `Cosine similarity of pairs, ${name}`,
        x: { label: 'Cosine similarity', scale: 'linear' },
        groups: [
          { name: 'parts of one whole', look: 'first', values: cosine.positive },
          { name: 'parts of two wholes', look: 'second', values: cosine.negative },
        ],
        bins: 40,
      }),
      `AUC ${cosine.auc.toFixed(3)}, overlap ${cosine.overlap.toFixed(3)}, d′ ${cosine.dPrime.toFixed(2)}.`,
    ),
  )}</div></section>`;
}

/** The page. */
export function renderAnalysis(data: AnalysisPageData): string {
  const { encoders, embedded, paired, createdAt } = data;
  const note = `${embedded.wholes} wholes, one colour each. Circles are ${embedded.parts} parts of each whole; a larger circle is a larger part. Diamonds are the wholes themselves.`;
  return renderPage({
    kicker: 'Parts2Whole feature analysis',
    title: encoders.map(({ name }) => name).join(', '),
    createdAt,
    lead: `Do parts of the same whole lie together in feature space? Pairs are drawn from ${paired.wholes} validation wholes with ${paired.parts} parts each.`,
    main: html`${numbersSection(data)}
${mapsSection('t-SNE', note, encoders, 'tsne')}
${mapsSection('UMAP', note, encoders, 'umap')}
${cosineSection(data)}`,
    source: WORDING.parts2whole.source,
  });
}
