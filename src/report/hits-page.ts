/** What a search found, beside what was looked for: a page of pictures. */
import { type Html, html } from './html.js';
import { renderPage } from './page.js';
import { WORDING } from './wording.js';

/** A scan or a part of one, with three planes of it. */
export interface Shown {
  readonly title: string;
  /** A PNG, or why there is none. */
  readonly picture: Uint8Array | string;
}

export interface ShownHit extends Shown {
  readonly score: number;
  /** Middle in LPS mm; null for a whole scan. */
  readonly centre: readonly [number, number, number] | null;
}

export interface HitsPageData {
  readonly createdAt: string;
  /** How many vectors there are, in which lists, of which a query looks at `probes`, and the recall that this has. */
  readonly index: {
    readonly rows: number;
    readonly lists: readonly number[];
    readonly probes: number;
    readonly recall: number;
  };
  /** First and last voxel; null for a whole scan. */
  readonly box: readonly (readonly number[])[] | null;
  readonly query: Shown;
  readonly hits: readonly ShownHit[];
}

function drawing({ title, picture }: Shown): Html {
  if (typeof picture === 'string') return html`<p class="absent">${picture}</p>`;
  const source = `data:image/png;base64,${Buffer.from(picture).toString('base64')}`;
  return html`<img class="planes" src="${source}" alt="Axial, coronal and sagittal plane of ${title}">`;
}

const place = (centre: ShownHit['centre']) =>
  centre === null ? 'whole scan' : `middle at ${centre.map((mm) => mm.toFixed(1)).join(', ')} mm (LPS)`;

const hitFigure = (hit: ShownHit, i: number): Html =>
  html`<figure><h3>${i + 1}. ${hit.title}</h3><div class="drawing">${drawing(hit)}</div><figcaption>similarity ${hit.score.toFixed(3)}, ${place(hit.centre)}</figcaption></figure>`;

const KICKER = 'Parts2Whole search';

/** Whether the beginning of a file is that of such a page. */
export const isHitsPage = (start: string): boolean => start.includes(`<p class="kicker">${KICKER}</p>`);

/** The page. */
export function renderHits({ createdAt, index, box, query, hits }: HitsPageData): string {
  const what =
    box === null ? 'The whole scan' : `The box from voxel ${box.map((at) => at.join(', ')).join(' to ')}`;
  const found =
    index.probes === index.lists.length
      ? 'All of them were compared.'
      : `The search is approximate: it finds ${(100 * index.recall).toFixed(1)} % of the ten nearest.`;
  return renderPage({
    kicker: KICKER,
    title: query.title,
    createdAt,
    lead: `${what} was looked for among ${index.rows.toLocaleString('en')} vectors. ${found}`,
    main: html`<section><h2>Most similar</h2><p>Similarity is the cosine of two feature vectors, each less the mean of the index; 1 is the same
direction. Planes are axial, coronal and sagittal through the middle.</p><div class="pair">
<figure><h3>Query</h3><div class="drawing">${drawing(query)}</div><figcaption>${query.title}</figcaption></figure>${hits.map(hitFigure)}</div></section>`,
    source: WORDING.parts2whole.source,
  });
}
