import { html } from '../report/html.js';
import { labelWidth } from '../report/label-width.js';
import { shortNumber } from '../report/numbers.js';

/** One bar: its length, and the range that was seen. */
export interface Bar {
  readonly name: string;
  /** Smaller, below the name. */
  readonly detail?: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

const [WIDTH, ROW, LEAST_LEFT, RIGHT, TOP] = [720, 36, 180, 90, 44];
/** Pixels of a small letter, on average. */
const SMALL_LETTER = 5.8;
/** A bar that is so many times as long as the shortest is cut off: the others could not be told apart beside it. */
const LONGEST = 12;

/** Seconds as people read them. */
const timeOf = (seconds: number) =>
  seconds < 0.1 ? `${shortNumber(1000 * seconds)} ms` : `${shortNumber(seconds)} s`;

const SUBJECT = 'median of all rounds, and their range';

/** Whether a file is such a chart. @param start its first bytes */
export const isBarChart = (start: string): boolean => start.startsWith('<svg ') && start.includes(SUBJECT);

/** Times as horizontal bars, the range as a line over each: an SVG file of its own. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const lengths = bars.map(({ name, detail = '' }) =>
    Math.max(labelWidth(name), SMALL_LETTER * detail.length),
  );
  const left = Math.max(LEAST_LEFT, 20 + Math.max(...lengths));
  const width = WIDTH - LEAST_LEFT + left;
  const end = Math.min(
    Math.max(...bars.map((bar) => bar.max)),
    LONGEST * Math.min(...bars.map((bar) => bar.median)),
  );
  const scale = (WIDTH - LEAST_LEFT - RIGHT) / end;
  const height = TOP + ROW * bars.length + 12;
  const rows = bars.map(({ name, detail, median, min, max }, i) => {
    const y = TOP + ROW * i;
    const x = (seconds: number) => (left + Math.min(seconds, end) * scale).toFixed(1);
    const isCut = median > end;
    return html`<text x="${left - 10}" y="${y + (detail ? 14 : 19)}" text-anchor="end">${name}</text>
${detail ? html`<text x="${left - 10}" y="${y + 27}" text-anchor="end" font-size="10">${detail}</text>` : ''}
<rect x="${left}" y="${y + 4}" width="${(Math.min(median, end) * scale).toFixed(1)}" height="${ROW - 14}" fill="${i === 0 ? '#0b6e99' : '#9aa5ad'}"/>
${isCut ? html`<path d="M${Number(x(end)) - 14} ${y + ROW - 10}l6 -${ROW - 14}h5l-6 ${ROW - 14}z" fill="#fff"/>` : html`<path d="M${x(min)} ${y + 15}H${x(max)}" stroke="#222" stroke-width="2"/>`}
<text x="${(Number(x(max)) + 8).toFixed(1)}" y="${y + 19}">${timeOf(median)}</text>`;
  });
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="14">
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="26" font-size="16" font-weight="600">${title}: ${SUBJECT}</text>
${rows}
</svg>
`.text;
}
