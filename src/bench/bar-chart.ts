import { html } from '../report/html.js';

/** One bar: its length, and the range that was seen. */
export interface Bar {
  readonly name: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

const [WIDTH, ROW, LEFT, RIGHT, TOP] = [720, 36, 180, 90, 44];

/** Times as horizontal bars, the range as a line over each: an SVG file of its own. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const scale = (WIDTH - LEFT - RIGHT) / Math.max(...bars.map((bar) => bar.max));
  const height = TOP + ROW * bars.length + 12;
  const rows = bars.map(({ name, median, min, max }, i) => {
    const y = TOP + ROW * i;
    const x = (seconds: number) => (LEFT + seconds * scale).toFixed(1);
    return html`<text x="${LEFT - 10}" y="${y + 19}" text-anchor="end">${name}</text>
<rect x="${LEFT}" y="${y + 4}" width="${(median * scale).toFixed(1)}" height="${ROW - 14}" fill="${i === 0 ? '#0b6e99' : '#9aa5ad'}"/>
<path d="M${x(min)} ${y + 15}H${x(max)}" stroke="#222" stroke-width="2"/>
<text x="${(Number(x(max)) + 8).toFixed(1)}" y="${y + 19}">${median.toPrecision(3)} s</text>`;
  });
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="14">
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="26" font-size="16" font-weight="600">${title}: median of all rounds, and their range</text>
${rows}
</svg>
`.text;
}
