import { area, curveLinear, curveStepAfter, line } from 'd3-shape';
import { histogramShares, rangeOf } from '../analysis/separation.js';
import { type Axis, frame, isDrawable, type Point, px, SIZE } from './axes.js';
import { type Content, type Html, html } from './html.js';
import { percent } from './numbers.js';

/** How a series is drawn; colour never is the only difference. Styles: see `style.ts`. */
export type Look = 'first' | 'second' | 'faint' | 'reference' | 'other';

export interface Series {
  readonly name: string;
  readonly look: Look;
  readonly points: readonly Point[];
  /** Holds each value up to the next point, as a learning rate does. */
  readonly steps?: boolean;
}

/** A constant to compare with, drawn as a dashed line. */
export interface Reference {
  readonly name: string;
  readonly look: 'reference' | 'other';
  readonly y: number;
}

/** Above this many points a line is drawn without dots. */
const MOST_DOTS = 40;

/** Lines over x, with dots where they are few. */
export function lineChart(options: {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  readonly references?: readonly Reference[];
}): Html {
  const { title, x, y } = options;
  const series = options.series
    .map((s) => ({ ...s, points: s.points.filter((point) => isDrawable(point, x, y)) }))
    .filter((s) => s.points.length > 0);
  const all = series.flatMap((s) => s.points);
  if (all.length === 0) return nothingYet;
  const references = (options.references ?? []).filter((r) => isDrawable([all[0]![0], r.y], x, y));
  const axes = frame(x, y, [...all, ...references.map((r): Point => [all[0]![0], r.y])]);
  const { left, right, width } = SIZE;
  const marks = [
    references.map(
      (r) => html`<path class="mark ${r.look}" d="M${left} ${px(axes.y(r.y))}H${width - right}"/>`,
    ),
    series.map(({ points, look, steps }) => {
      const path = line<Point>(
        (p) => axes.x(p[0]),
        (p) => axes.y(p[1]),
      ).digits(1);
      const curve = path.curve(steps ? curveStepAfter : curveLinear)(points as Point[]);
      const dots =
        points.length <= MOST_DOTS && !steps ? points.map((p) => dot(axes.x(p[0]), axes.y(p[1]), look)) : [];
      return html`<path class="mark ${look}" d="${curve}"/>${dots}`;
    }),
  ];
  return html`${legend([...series, ...references])}${drawing(title, axes.drawing, marks)}`;
}

/** Overlaid histograms over a common range, as shares of each group. */
export function histogram(options: {
  readonly title: string;
  readonly x: Axis;
  readonly groups: readonly { readonly name: string; readonly look: Look; readonly values: Float64Array }[];
  readonly bins: number;
}): Html {
  const { title, x, groups, bins } = options;
  const range = rangeOf(...groups.map((group) => group.values));
  if (!(range[0] <= range[1])) return nothingYet;
  const y: Axis = { label: 'Share of pairs', scale: 'linear', include: [0], format: percent };
  const edge = (bin: number) => range[0] + ((range[1] - range[0]) * bin) / bins;
  const outlines = groups.map(({ values, look }) => {
    const shares = histogramShares(values, range, bins);
    // One more point closes the last step; the two ends drop to the axis.
    const points = [...shares, shares[bins - 1]!].map((share, bin): Point => [edge(bin), share]);
    return { look, points };
  });
  const axes = frame(
    x,
    y,
    outlines.flatMap((outline) => outline.points),
  );
  const shape = area<Point>()
    .x((p) => axes.x(p[0]))
    .y1((p) => axes.y(p[1]))
    .y0(axes.y(0))
    .curve(curveStepAfter)
    .digits(1);
  const marks = outlines.map(
    ({ look, points }) => html`<path class="mark filled ${look}" d="${shape(points)}"/>`,
  );
  return html`${legend(groups)}${drawing(title, axes.drawing, marks)}`;
}

/** Points in their order, the later the stronger, the first and the last named beside them. */
export function scatter(options: {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly points: readonly { readonly at: Point; readonly name: string }[];
}): Html {
  const { title, x, y } = options;
  const points = options.points.filter(({ at }) => isDrawable(at, x, y));
  if (points.length === 0) return nothingYet;
  const axes = frame(
    x,
    y,
    points.map((point) => point.at),
  );
  const path = line<Point>(
    (p) => axes.x(p[0]),
    (p) => axes.y(p[1]),
  ).digits(1);
  const last = points.length - 1;
  const marks = [
    html`<path class="mark faint" d="${path(points.map((point) => point.at))}"/>`,
    points.map(({ at, name }, i) =>
      dot(axes.x(at[0]), axes.y(at[1]), 'first', { name, strength: 0.3 + (0.7 * (i + 1)) / points.length }),
    ),
    points.map(({ at, name }, i) =>
      i === 0 || i === last ? nameBeside(axes.x(at[0]), axes.y(at[1]), name) : null,
    ),
  ];
  return drawing(title, axes.drawing, marks);
}

/** What stands in the place of a chart without data. */
const nothingYet = html`<p class="absent">Nothing recorded yet.</p>`;

function dot(x: number, y: number, look: Look, named?: { name: string; strength: number }): Html {
  if (!named) return html`<circle class="mark ${look}" cx="${px(x)}" cy="${px(y)}" r="2.6"/>`;
  return html`<circle class="mark ${look}" cx="${px(x)}" cy="${px(y)}" r="4.5" fill-opacity="${px(named.strength)}">
<title>${named.name}</title></circle>`;
}

/** Towards the middle of the chart, where there is room. */
function nameBeside(x: number, y: number, name: string): Html {
  const right = x < SIZE.width / 2;
  const anchor = right ? 'start' : 'end';
  return html`<text class="name" x="${px(x + (right ? 9 : -9))}" y="${px(y + 4)}" text-anchor="${anchor}">${name}</text>`;
}

function drawing(title: string, axes: Html, marks: Content): Html {
  return html`<svg class="chart" role="img" viewBox="0 0 ${SIZE.width} ${SIZE.height}">
<title>${title}</title>${axes}${marks}</svg>`;
}

/** In HTML, so that it wraps on narrow screens instead of covering the chart. */
function legend(entries: readonly { readonly name: string; readonly look: Look }[]): Html {
  const swatch = (look: Look) =>
    html`<svg class="swatch" viewBox="0 0 22 10" aria-hidden="true"><path class="mark ${look}" d="M1 5H21"/></svg>`;
  return html`<ul class="legend">${entries.map(({ name, look }) => html`<li>${swatch(look)}${name}</li>`)}</ul>`;
}
