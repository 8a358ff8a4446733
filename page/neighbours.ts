/** Scans and regions of an index that are like the one that is open. */
import { voxelsOf } from './box.js';
import { element, isAbort, make, makeSvg, messageOf, say } from './dom.js';
import { foundPoints, type MapPoint, placeAmong } from './index-map.js';
import type { Box } from './messages.js';
import type { OpenScan, PageContext, Panel, ScanSource } from './panel.js';
import { fileAt, type Hit, type IndexFacts, search } from './service.js';

/** Neighbours that are shown. */
const COUNT = 8;

/** Width and height of the map, and its margin. */
const [WIDTH, HEIGHT, MARGIN] = [400, 300, 12];

type Point = readonly [x: number, y: number];

/** A place on the map's drawing. */
function scaled(map: readonly MapPoint[]): (at: Point) => Point {
  const along = (of: 'x' | 'y', length: number) => {
    const values = map.map((row) => row[of]);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return (value: number) => MARGIN + ((length - 2 * MARGIN) * (value - least)) / (most - least || 1);
  };
  const [x, y] = [along('x', WIDTH), along('y', HEIGHT)];
  return (at) => [x(at[0]), y(at[1])];
}

function drawMap(svg: SVGElement, { map }: IndexFacts, hits: readonly Hit[]): void {
  if (!map || map.length === 0) return;
  const at = scaled(map);
  const points = foundPoints(map, hits);
  const dot = ({ source, x, y, score }: (typeof points)[number]) => {
    const [cx, cy] = at([x, y]);
    const isHit = score !== null;
    const circle = makeSvg('circle', { class: isHit ? 'dot hit' : 'dot', cx, cy, r: isHit ? 4 : 2.5 });
    const title = makeSvg('title', {});
    title.textContent = source;
    circle.append(title);
    return circle;
  };
  // Hits lie over the others.
  const rows = points.toSorted((a, b) => Number(a.score !== null) - Number(b.score !== null));
  svg.replaceChildren(...rows.map(dot));
  const place = placeAmong(points);
  if (place) {
    const [cx, cy] = at(place);
    svg.append(makeSvg('circle', { class: 'here', cx, cy, r: 7 }));
  }
  svg.removeAttribute('hidden');
}

export interface NeighboursOptions {
  readonly index: IndexFacts;
  /** The box in the scan that is open. */
  readonly box: () => Box | null;
  readonly openScan: (source: ScanSource) => void;
}

export function neighboursPanel(
  { models }: PageContext,
  { index, box, openScan }: NeighboursOptions,
): Panel | null {
  if (models.length === 0) return null;
  const section = element('#neighbours');
  const status = element('.status', section);
  const list = element('.hits', section);
  const map = element<SVGElement>('#map');
  const byBox = element<HTMLButtonElement>('#search-box');
  let scan: OpenScan | undefined;
  let work = new AbortController();

  const item = ({ score, source, centre, picture, scan: path }: Hit): HTMLElement => {
    const image = picture
      ? make('img', { src: picture, alt: '', loading: 'lazy' })
      : make('span', { class: 'blank' });
    const button = make(
      'button',
      { type: 'button' },
      image,
      make('span', {}, source),
      make('small', {}, score.toFixed(3)),
    );
    button.disabled = path === null;
    button.addEventListener('click', () =>
      openScan({
        name: source,
        place: centre,
        files: async (signal) => [await fileAt(path!, source, signal)],
      }),
    );
    return make('li', {}, button);
  };
  const run = async (isBox: boolean): Promise<void> => {
    if (!scan) return;
    work.abort();
    work = new AbortController();
    const signal = AbortSignal.any([scan.signal, work.signal]);
    const place = box();
    say(status, 'Searching …');
    try {
      const hits = await search(scan.file, isBox && place ? voxelsOf(place) : null, COUNT, signal);
      list.replaceChildren(...hits.map(item));
      drawMap(map, index, hits);
      say(
        status,
        `The most alike of ${index.rows.toLocaleString('en')} in ${index.sources.toLocaleString('en')} scans.`,
      );
    } catch (error) {
      if (!isAbort(error)) say(status, messageOf(error), true);
    }
  };
  element('#search-scan').addEventListener('click', () => void run(false));
  byBox.addEventListener('click', () => void run(true));
  return {
    take(next) {
      work.abort();
      scan = next;
      section.hidden = false;
      byBox.hidden = box() === null;
      list.replaceChildren();
      say(status, '');
      drawMap(map, index, []);
    },
  };
}
