/** The result for people: a table in Markdown, and a bar chart. */
import { shortNumber } from '../../report/numbers.js';
import { barChart } from '../bar-chart.js';
import type { RuntimeRow, RuntimesResult } from './result.js';

const milliseconds = (seconds: number) => shortNumber(1000 * seconds);

const HEADS = [
  ...['runtime', 'runs in', 'precision', 'threads', 'load ms', 'p50 ms', 'p90 ms', 'p99 ms', 'runs/s'],
  ...['peak memory', 'relative error'],
];
/** Columns of words; the others are of numbers. */
const WORDS = 3;

/** More than the values themselves is no rounding. */
const errorText = (error: number) => (error === 0 ? '0' : error > 1 ? 'differs' : error.toExponential(1));

const cellsOf = ({ name, place, precision, threads, ...row }: RuntimeRow): string[] => [
  ...[name, place, precision, `${threads}`, milliseconds(row.loadSeconds)],
  ...[row.seconds.p50, row.seconds.p90, row.seconds.p99].map(milliseconds),
  shortNumber(row.throughput),
  row.peakBytes === null ? '–' : `${(row.peakBytes / 1e6).toFixed(0)} MB`,
  errorText(row.error),
];

/** Columns of one width, which Markdown ignores and people read. */
export function formatRuntimes({ title, inputs, modelBytes, machine, rows, absent }: RuntimesResult): string {
  const table = [HEADS, ...rows.map(cellsOf)];
  const widths = HEADS.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const pad = (cell: string, i: number) => (i < WORDS ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!));
  const line = (cells: readonly string[]) => `| ${cells.map(pad).join(' | ')} |`;
  const rule = widths.map((width, i) => (i < WORDS ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  const given = Object.entries(inputs).map(([name, type]) => `${name} ${type}`);
  const shown =
    given.length > 4 ? `${given.slice(0, 3).join(', ')} and ${given.length - 3} more` : given.join(', ');
  return [
    `${title}, ${(modelBytes / 1e6).toFixed(1)} MB; ${shown}; ${machine.cpu}, ${machine.cores} cores`,
    '',
    line(HEADS),
    line(rule),
    ...table.slice(1).map(line),
    ...(absent.length > 0 ? ['', 'Not measured:', ''] : []),
    ...absent.map(
      ({ name, place, precision, reason }) =>
        `- ${name} in ${place}${precision === 'float32' ? '' : `, ${precision}`}: ${reason}`,
    ),
  ].join('\n');
}

/** Medians and ranges, as an SVG file. */
export const runtimesChart = ({ title, rows }: RuntimesResult): string =>
  barChart(
    title,
    rows.map(({ name, place, precision, threads, seconds: { p50, min, max } }) => ({
      name: `${name}, ${precision}, ${threads} thread${threads === 1 ? '' : 's'}${place === 'Chromium' ? ' (Chromium)' : ''}`,
      ...{ median: p50, min, max },
    })),
  );
