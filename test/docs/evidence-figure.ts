/** The figure of docs/evidence.md: small charts side by side, as one SVG file with its own colours. */
import type { Group } from '../../src/experiments/statistics.js';
import { type Axis, frame, type Point, px, SIZE } from '../../src/report/axes.js';
import { Html, html } from '../../src/report/html.js';

const STYLE = `text { font: 11px system-ui, sans-serif; fill: #1a1e23; } .title { font-size: 13px; font-weight: 600; }
.tick text { fill: #59636e; } .across text { text-anchor: middle; } .up text, .axis.x { text-anchor: end; }
.grid path { stroke: #dfe3e7; fill: none; } .grid .foot { stroke: #59636e; }`;

/** How a source is drawn; colour is never the only difference. */
export interface Look {
  readonly colour: string;
  readonly dashes?: string;
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
const COLUMNS = 2;
const [TOP, TITLE, LEGEND_COLUMNS, LEGEND_ROW] = [12, 22, 3, 20] as const;

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
  const marks = shifted.map(({ look: { colour, dashes = 'none' }, points }) => {
    const places = points.map(({ x: at, group }) => axes.at([at, group.mean]));
    const bars = points.map(({ x: at, group }) => {
      const [[across, low], [, high]] = [
        axes.at([at, group.interval![0]]),
        axes.at([at, group.interval![1]]),
      ];
      return html`<path d="M${px(across)} ${px(low)}V${px(high)}" stroke="${colour}" stroke-opacity=".55"/>`;
    });
    const path = places.map(([left, top]) => `${px(left)} ${px(top)}`).join('L');
    const dots = places.map(
      ([left, top]) => html`<circle cx="${px(left)}" cy="${px(top)}" r="2.8" fill="${colour}"/>`,
    );
    return html`${bars}<path d="M${path}" fill="none" stroke="${colour}" stroke-width="1.8" stroke-dasharray="${dashes}"/>${dots}`;
  });
  return html`<text class="title" x="${SIZE.left}" y="14">${title}</text>${axes.drawing}${marks}`;
}

/** Each curve once, in the order of the charts. */
function legend(charts: readonly Chart[]): readonly Curve[] {
  const curves = charts.flatMap((chart) => chart.curves);
  return curves.filter(({ name }, i) => curves.findIndex((other) => other.name === name) === i);
}

/** Charts in rows of two, below one legend. */
export function figureOf(title: string, charts: readonly Chart[]): string {
  const entries = legend(charts);
  const head = TOP + LEGEND_ROW * Math.ceil(entries.length / LEGEND_COLUMNS) + TOP;
  const [across, down] = [SIZE.width + 16, SIZE.height + TITLE];
  const [width, height] = [COLUMNS * across, head + Math.ceil(charts.length / COLUMNS) * down];
  const swatches = entries.map(({ name, look: { colour, dashes = 'none' } }, i) => {
    const left = SIZE.left + (i % LEGEND_COLUMNS) * (width / LEGEND_COLUMNS - 12);
    const middle = TOP + LEGEND_ROW * Math.floor(i / LEGEND_COLUMNS) + 8;
    return html`<path d="M${left} ${middle}h24" stroke="${colour}" stroke-width="1.8" stroke-dasharray="${dashes}"/>
<text x="${left + 30}" y="${middle + 4}">${name}</text>`;
  });
  const panels = charts.map((chart, i) => {
    const [left, top] = [(i % COLUMNS) * across, head + Math.floor(i / COLUMNS) * down];
    return html`<g transform="translate(${left} ${top})">${drawn(chart)}</g>`;
  });
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
<title>${title}</title><style>${new Html(STYLE)}</style>
<rect width="100%" height="100%" fill="#fff"/>
${swatches}
${panels}
</svg>
`.text;
}
