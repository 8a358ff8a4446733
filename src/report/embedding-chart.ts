import { Html, html } from './html.js';

/** One part, or a whole, as a point of the plane. */
export interface EmbeddedPart {
  readonly x: number;
  readonly y: number;
  /** Number of its whole: a colour. */
  readonly whole: number;
  /** Share of the whole's volume, 0 to 1: a size. 1 is the whole itself, drawn as a diamond. */
  readonly scale: number;
}

/** Ten colours that stay apart for most kinds of colour vision (Tableau's). */
const COLOURS = [
  ...['#4e79a7', '#f28e2b', '#e15759', '#76b7b2', '#59a14f'],
  ...['#edc948', '#b07aa1', '#ff9da7', '#9c755f', '#7f7f7f'],
];
const SIDE = 420;
const MARGIN = 16;

/** What is behind the points, and what borders wholes. */
interface Ground {
  readonly paper: string;
  readonly ink: string;
}
const OF_A_FILE: Ground = { paper: '#fff', ink: '#1a1e23' };
/** The page's own, light or dark. */
const OF_A_PAGE: Ground = { paper: 'var(--panel)', ink: 'var(--ink)' };

/** All points, wholes above their parts: an SVG file of its own. */
export function embeddingChart(
  title: string,
  points: readonly EmbeddedPart[],
  { paper, ink } = OF_A_FILE,
): string {
  const range = (values: number[]) => [Math.min(...values), Math.max(...values)] as const;
  const [left, right] = range(points.map(({ x }) => x));
  const [low, high] = range(points.map(({ y }) => y));
  const span = Math.max(right - left, high - low, 1e-9);
  const scale = (SIDE - 2 * MARGIN) / span;
  const place = ({ x, y }: EmbeddedPart) =>
    [SIDE / 2 + (x - (left + right) / 2) * scale, SIDE / 2 - (y - (low + high) / 2) * scale] as const;
  const parts = points.filter((point) => point.scale < 1);
  const wholes = points.filter((point) => point.scale === 1);
  const circles = parts.map((point) => {
    const [x, y] = place(point);
    const colour = COLOURS[point.whole % COLOURS.length]!;
    return html`<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${(1.4 + 3.2 * Math.sqrt(point.scale)).toFixed(1)}" fill="${colour}" fill-opacity=".55"/>`;
  });
  const diamonds = wholes.map((point) => {
    const [x, y] = place(point);
    const colour = COLOURS[point.whole % COLOURS.length]!;
    const d = `M${x.toFixed(1)} ${(y - 8).toFixed(1)}l8 8l-8 8l-8-8z`;
    return html`<path d="${d}" fill="${colour}" stroke="${ink}" stroke-width="1.5"/>`;
  });
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIDE} ${SIDE}" role="img">
<title>${title}</title>
<rect width="100%" height="100%" fill="${paper}"/>
${circles}
${diamonds}
</svg>
`.text;
}

/** The same, inside a page. */
export const embeddingFigure = (title: string, points: readonly EmbeddedPart[]): Html =>
  new Html(embeddingChart(title, points, OF_A_PAGE).replace('<svg ', '<svg class="chart" '));
