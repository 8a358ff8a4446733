import { area, curveLinear, curveStepAfter, curveStepBefore, line } from 'd3-shape';
import { histogramShares, rangeOf } from '../analysis/separation.js';
import { type Axis, frame, isDrawable, type Point, px, SIZE } from './axes.js';
import { type Content, type Html, html } from './html.js';

/** How a series is drawn; colour never is the only difference. Styles: see `style.ts`. */
export type Look = 'first' | 'second' | 'third' | 'fourth' | 'faint' | 'reference';

export interface Series {
  readonly name: string;
  readonly look: Look;
  readonly points: readonly Point[];
  /** Holds each value up to the next point, as a learning rate does. */
  readonly steps?: boolean;
  /** Of each point, what lies beside it: a vertical line from low to high. */
  readonly intervals?: readonly { readonly x: number; readonly low: number; readonly high: number }[];
}

/** A constant to compare with, drawn as a dashed line. */
export interface Reference {
  readonly name: string;
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
  const firstX = all[0]![0];
  const references = (options.references ?? [])
    .map(({ name, y: value }) => ({ name, look: 'reference' as const, point: [firstX, value] as const }))
    .filter(({ point }) => isDrawable(point, x, y));
  const ends = series.flatMap(({ intervals = [] }) =>
    intervals.flatMap(({ x: at, low, high }): Point[] => [
      [at, low],
      [at, high],
    ]),
  );
  const axes = frame(x, y, [...all, ...references.map(({ point }) => point), ...ends]);
  const marks = [
    references.map(({ look, point }) => {
      const across = `M${SIZE.left} ${px(axes.at(point)[1])}H${SIZE.width - SIZE.right}`;
      return html`<path class="mark ${look}" d="${across}"/>`;
    }),
    series.map(({ points, look, steps, intervals = [] }) => {
      const places = points.map(axes.at);
      const dots = places.length <= MOST_DOTS ? places.map((place) => dot(place, look)) : null;
      const bars = intervals.map(({ x: at, low, high }) => {
        const [[across, from], [, to]] = [axes.at([at, low]), axes.at([at, high])];
        return html`<path class="mark ${look} interval" d="M${px(across)} ${px(from)}V${px(to)}"/>`;
      });
      return html`${bars}<path class="mark ${look}" d="${pathThrough(places, steps)}"/>${dots}`;
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
  const y: Axis = { label: 'Share of pairs', scale: 'linear', include: [0], unit: '%' };
  const edge = (bin: number) => range[0] + ((range[1] - range[0]) * bin) / bins;
  const outlines = groups.map(({ values, look }) => {
    const shares = histogramShares(values, range, bins);
    // One more point closes the last step; the two ends drop to the axis.
    const points = [...shares, shares[bins - 1]!].map((share, bin): Point => [edge(bin), share]);
    return { look, points };
  });
  const all = outlines.flatMap((outline) => outline.points);
  const axes = frame(x, y, all);
  const shape = area<Point>()
    .x((place) => place[0])
    .y1((place) => place[1])
    .y0(axes.at([range[0], 0])[1])
    .curve(curveStepAfter)
    .digits(1);
  const marks = outlines.map(
    ({ look, points }) => html`<path class="mark filled ${look}" d="${shape(points.map(axes.at))}"/>`,
  );
  return html`${legend(groups)}${drawing(title, axes.drawing, marks)}`;
}

/** Points in their order, the later the stronger, the first and the last with their names. */
export function scatter(options: {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly points: readonly { readonly at: Point; readonly name: string }[];
}): Html {
  const { title, x, y } = options;
  const points = options.points.filter(({ at }) => isDrawable(at, x, y));
  if (points.length === 0) return nothingYet;
  const ats = points.map((point) => point.at);
  const axes = frame(x, y, ats);
  const places = ats.map(axes.at);
  const last = points.length - 1;
  const marks = [
    html`<path class="mark trail" d="${pathThrough(places)}"/>`,
    points.map(({ name }, i) => namedDot(places[i]!, name, 0.3 + (0.7 * (i + 1)) / points.length)),
    points.map(({ name }, i) => (i === 0 || i === last ? nameBeside(places[i]!, name) : null)),
  ];
  return drawing(title, axes.drawing, marks);
}

/** What stands in the place of a chart without data. */
const nothingYet = html`<p class="absent">Nothing recorded yet.</p>`;

function pathThrough(places: readonly Point[], steps = false): string {
  const path = line<Point>()
    .curve(steps ? curveStepBefore : curveLinear)
    .digits(1);
  return path([...places]) ?? '';
}

function dot([x, y]: Point, look: Look): Html {
  return html`<circle class="mark ${look}" cx="${px(x)}" cy="${px(y)}" r="2.6"/>`;
}

/** A larger dot that tells its name when pointed at. */
function namedDot([x, y]: Point, name: string, strength: number): Html {
  return html`<circle class="mark first" cx="${px(x)}" cy="${px(y)}" r="4.5" fill-opacity="${px(strength)}">
<title>${name}</title></circle>`;
}

/** Above or below the point and towards the middle of the chart, where there is room. */
function nameBeside([x, y]: Point, name: string): Html {
  const baseline = px(y < SIZE.height / 2 ? y + 18 : y - 10);
  if (x < SIZE.width / 2) return html`<text class="name" x="${px(x - 4)}" y="${baseline}">${name}</text>`;
  return html`<text class="name end" x="${px(x + 4)}" y="${baseline}">${name}</text>`;
}

function drawing(title: string, axes: Html, marks: Content): Html {
  return html`<svg class="chart" role="img" viewBox="0 0 ${SIZE.width} ${SIZE.height}">
<title>${title}</title>${axes}${marks}</svg>`;
}

/** In HTML, so that it wraps on narrow screens instead of covering the chart; a single series needs none. */
function legend(entries: readonly { readonly name: string; readonly look: Look }[]): Html | null {
  if (entries.length < 2) return null;
  const swatch = (look: Look) =>
    html`<svg class="swatch" viewBox="0 0 22 10" aria-hidden="true"><path class="mark ${look}" d="M1 5H21"/></svg>`;
  return html`<ul class="legend">${entries.map(({ name, look }) => html`<li>${swatch(look)}${name}</li>`)}</ul>`;
}
