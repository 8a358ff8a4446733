import { type ScaleContinuousNumeric, scaleLinear, scaleLog } from 'd3-scale';
import { type Html, html } from './html.js';
import { shortNumber } from './numbers.js';

export interface Axis {
  readonly label: string;
  readonly scale: 'linear' | 'log';
  /** Values that must be inside; a linear axis of shares starts at 0. */
  readonly include?: readonly number[];
  /** Shares are shown as per cent. */
  readonly unit?: '%';
}

/** A point in the axes' units. */
export type Point = readonly [x: number, y: number];

/**
 * Drawing units of every chart. A phone shows them about one to one and a desktop half as large again, so
 * text stays readable without a second layout.
 */
export const SIZE = { width: 380, height: 250, left: 46, right: 18, top: 26, bottom: 40 } as const;

export interface Frame {
  /** From the axes' units to drawing units. */
  readonly at: (point: Point) => Point;
  /** Grid lines, tick labels and axis labels. */
  readonly drawing: Html;
}

/** Whether a point can be drawn on these axes: finite, and above zero where the axis is logarithmic. */
export function isDrawable(point: Point, x: Axis, y: Axis): boolean {
  const fits = (value: number, axis: Axis) =>
    Number.isFinite(value) && (axis.scale === 'linear' || value > 0);
  return fits(point[0], x) && fits(point[1], y);
}

/** Axes that hold all points; at least one must be given. */
export function frame(x: Axis, y: Axis, points: readonly Point[]): Frame {
  const { width, height, left, right, top, bottom } = SIZE;
  const [foot, end] = [height - bottom, width - right];
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  const across = scaleOf(x, xs, [left, end]);
  const up = scaleOf(y, ys, [foot, top]);
  const [ticksAcross, ticksUp] = [ticksOf(across, x), ticksOf(up, y)];
  const drawing = html`
<g class="grid">${ticksUp.map(({ at }) => html`<path d="M${left} ${px(at)}H${end}"/>`)}
<path class="foot" d="M${left} ${foot}H${end}"/></g>
<g class="tick across">${ticksAcross.map(
    ({ at, label }) => html`<text x="${px(at)}" y="${foot + 15}">${label}</text>`,
  )}</g>
<g class="tick up">${ticksUp.map(
    ({ at, label }) => html`<text x="${left - 6}" y="${px(at + 4)}">${label}</text>`,
  )}</g>
<text class="axis x" x="${end}" y="${height - 6}">${x.label}</text>
<text class="axis y" x="0" y="12">${y.label}</text>`;
  return { at: (point) => [across(point[0]), up(point[1])], drawing };
}

/** A coordinate with as many decimals as the eye can see. */
export const px = (value: number): string => String(Math.round(value * 10) / 10);

type Scale = ScaleContinuousNumeric<number, number>;

function scaleOf(axis: Axis, values: readonly number[], range: readonly [number, number]): Scale {
  let low = axis.include?.[0] ?? Number.POSITIVE_INFINITY;
  let high = axis.include?.[0] ?? Number.NEGATIVE_INFINITY;
  for (const value of [...values, ...(axis.include ?? [])]) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (axis.scale === 'log') {
    // A little air, and enough of a span that a constant does not lie on an edge.
    const air = Math.max(high / low, 2) ** 0.06;
    const [from, to] = high / low < 2 ? [low / 1.5, high * 1.5] : [low / air, high * air];
    return scaleLog([from, to], range);
  }
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 20, low + Math.abs(low) / 20];
  return scaleLinear([low, high], range).nice(5);
}

/** Ticks wanted on an axis. */
const TICKS = 5;

/** About five round values; on a logarithmic axis as many multiples of powers of ten as fit. */
function roundValues(scale: Scale): number[] {
  const ticks = scale.ticks(TICKS);
  if (!('base' in scale)) return ticks;
  const mantissa = (tick: number) => Number(tick.toExponential(0)[0]);
  for (const kept of [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
    const some = ticks.filter((tick) => kept.includes(mantissa(tick)));
    if (some.length <= TICKS + 1) return some;
  }
  return ticks;
}

/** Where ticks are, and their labels, with digits enough to differ. */
function ticksOf(scale: Scale, { unit }: Axis): { at: number; label: string }[] {
  const values = roundValues(scale);
  const factor = unit === '%' ? 100 : 1;
  const digits = digitsApart(values.map((value) => value * factor));
  return values.map((value) => ({
    at: scale(value),
    label: `${tickLabel(value * factor, digits)}${unit ? ` ${unit}` : ''}`,
  }));
}

/** Significant digits with which neighbours among round values differ; 3 at least. */
function digitsApart(values: readonly number[]): number {
  const place = (value: number) => Math.floor(Math.log10(value));
  const largest = Math.max(...values.map(Math.abs));
  const distance = Math.min(...values.slice(1).map((value, i) => value - values[i]!));
  return Number.isFinite(distance) ? Math.max(3, place(largest) - place(distance) + 1) : 3;
}

function tickLabel(value: number, digits: number): string {
  if (Math.abs(value) < 10_000) return shortNumber(value, digits);
  return value.toLocaleString('en', { notation: 'compact', maximumSignificantDigits: digits });
}
