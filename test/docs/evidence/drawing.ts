/** The figure of docs/evidence.md: small charts side by side, as one SVG file with its own colours. */
import type { Group } from '../../../src/experiments/statistics.js';
import { type Axis, frame, type Point, px, SIZE } from '../../../src/report/axes.js';
import { Html, html } from '../../../src/report/html.js';

const STYLE = `text { font: 11px system-ui, sans-serif; fill: #1a1e23; } .title { font-size: 13px; font-weight: 600; }
.tick text { fill: #59636e; } .across text { text-anchor: middle; } .up text, .axis.x { text-anchor: end; }
.grid path { stroke: #dfe3e7; fill: none; } .grid .foot { stroke: #59636e; }`;

/** How a source is drawn; colour is never the only difference. */
export interface Look {
  readonly colour: string;
  readonly dashes?: string;
  /** Rings instead of dots. */
  readonly hollow?: boolean;
  /** Dots alone, without a line through them. */
  readonly scattered?: boolean;
}

/** One line of a chart, with its intervals. */
export interface Curve {
  readonly name: string;
  readonly look: Look;
  readonly points: readonly { readonly x: number; readonly group: Group }[];
}

export interface Chart {
  readonly title: string;
  readonly x: Axis;
  readonly curves: readonly Curve[];
}

const Y: Axis = { label: '', scale: 'linear' };
/** Curves lie a little beside each other, so that their intervals can be told apart. */
const APART = 1.03;

const stroke = ({ colour, dashes = 'none', scattered = false }: Look) =>
  html`fill="none" stroke="${scattered ? 'none' : colour}" stroke-width="1.8" stroke-dasharray="${dashes}"`;
const dot = ([left, top]: Point, { colour, hollow = false }: Look) =>
  html`<circle cx="${px(left)}" cy="${px(top)}" r="${hollow ? 4 : 2.8}" fill="${hollow ? '#fff' : colour}" stroke="${colour}"/>`;

function drawn({ title, x, curves }: Chart): Html {
  const shifted = curves.map((curve, i) => ({
    ...curve,
    points: curve.points.map(({ x: at, group }) => ({
      group,
      x: x.scale === 'log' ? at * APART ** (i - (curves.length - 1) / 2) : at,
    })),
  }));
  const ends = shifted.flatMap(({ points }) =>
    points.flatMap(({ x: at, group }): Point[] => group.interval!.map((end): Point => [at, end])),
  );
  const axes = frame(x, Y, ends);
  const marks = shifted.map(({ look, points }) => {
    const places = points.map(({ x: at, group }) => axes.at([at, group.mean]));
    const bars = points.map(({ x: at, group }) => {
      const [[across, low], [, high]] = group.interval!.map((end) => axes.at([at, end])) as [Point, Point];
      return html`<path d="M${px(across)} ${px(low)}V${px(high)}" stroke="${look.colour}" stroke-opacity=".55"/>`;
    });
    const path = places.map(([left, top]) => `${px(left)} ${px(top)}`).join('L');
    return html`${bars}<path d="M${path}" ${stroke(look)}/>${places.map((place) => dot(place, look))}`;
  });
  return html`<text class="title" x="${SIZE.left}" y="14">${title}</text>${axes.drawing}${marks}`;
}

/** Each curve once, in the order of the charts. */
function entriesOf(charts: readonly Chart[]): readonly Curve[] {
  const curves = charts.flatMap((chart) => chart.curves);
  return curves.filter(({ name }, i) => curves.findIndex((other) => other.name === name) === i);
}

const [ACROSS, DOWN] = [SIZE.width + 16, SIZE.height + 14];
const [ENTRIES, ENTRY_HEIGHT, AIR] = [2, 20, 12];

/** Charts side by side, below their legend. */
function row(charts: readonly Chart[]): { readonly drawing: Html; readonly height: number } {
  const entries = entriesOf(charts);
  const head = AIR + ENTRY_HEIGHT * Math.ceil(entries.length / ENTRIES);
  const names = entries.map(({ name, look }, i) => {
    const left = SIZE.left + (i % ENTRIES) * ((ACROSS * charts.length - SIZE.left) / ENTRIES);
    const middle = AIR + ENTRY_HEIGHT * Math.floor(i / ENTRIES);
    return html`<path d="M${px(left)} ${middle}h24" ${stroke(look)}/>${dot([left + 12, middle], look)}
<text x="${px(left + 30)}" y="${middle + 4}">${name}</text>`;
  });
  const panels = charts.map(
    (chart, i) => html`<g transform="translate(${i * ACROSS} ${head})">${drawn(chart)}</g>`,
  );
  return { drawing: html`${names}${panels}`, height: head + DOWN };
}

/** Rows of charts, each with a legend of its own. */
export function figureOf(title: string, rows: readonly (readonly Chart[])[]): string {
  const width = ACROSS * Math.max(...rows.map(({ length }) => length));
  let height = 0;
  const placed = rows.map((charts) => {
    const { drawing, height: own } = row(charts);
    const at = height;
    height += own;
    return html`<g transform="translate(0 ${at})">${drawing}</g>`;
  });
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
<title>${title}</title><style>${new Html(STYLE)}</style>
<rect width="100%" height="100%" fill="#fff"/>
${placed}
</svg>
`.text;
}
