/** Progress on stderr: a bar on a terminal, a line every few seconds elsewhere. */
import type { Progress, ProgressOptions, Reporter } from './progress.js';
import { cutToColumns, tell, visible } from './terminal.js';

const MS_BETWEEN_LINES = 10_000;
/** The rate is that of the last half minute: training goes on at another pace than it begins. */
const RATE_WINDOW_MS = 30_000;
const MS_BETWEEN_SAMPLES = 500;

/** 89 as `89 s`, 95 as `2 min`, 5400 as `1.5 h`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** `2.1 steps/s`, or `3.2 s a step` when slower than one a second. */
function formatRate(perSecond: number, unit: string): string {
  if (!(perSecond > 0)) return '';
  return perSecond >= 1
    ? `${perSecond.toFixed(1)} ${unit}/s`
    : `${(1 / perSecond).toFixed(1)} s/${unit.replace(/s$/, '')}`;
}

/** Measures units a second, zero until one is done. Between two units, which may be minutes, the rate stays. */
function rateMeter(start: number): (done: number) => number {
  let last = { at: performance.now(), done: start };
  const samples = [last];
  return (done) => {
    if (done !== last.done) last = { at: performance.now(), done };
    // The oldest sample is the last one before the window, so that slow units have a rate too.
    while (samples.length > 1 && samples[1]!.at <= last.at - RATE_WINDOW_MS) samples.shift();
    const oldest = samples[0]!;
    if (last.at - samples.at(-1)!.at >= MS_BETWEEN_SAMPLES) samples.push(last);
    return last.at > oldest.at ? (1000 * (last.done - oldest.done)) / (last.at - oldest.at) : 0;
  };
}

const BAR_CELLS = 24;
const MS_BETWEEN_BARS = 100;

/** `████░░░░` */
function barOf(done: number, total: number): string {
  const share = total > 0 ? Math.min(Math.max(done / total, 0), 1) : 0;
  const full = Math.round(share * BAR_CELLS);
  return '█'.repeat(full) + '░'.repeat(BAR_CELLS - full);
}

const joined = (parts: readonly string[]) => parts.filter((part) => part !== '').join('  ');

/** Starts showing on stderr; call `stop` at the end, also after an error. */
export function startProgress({ label, total, unit, start = 0 }: ProgressOptions): Progress {
  const isTerminal = process.stderr.isTTY;
  const rateAt = rateMeter(start);
  let bar = `${label} ${barOf(start, total)} ${start}/${total}`;
  let lastShown = Number.NEGATIVE_INFINITY;
  // The cursor stays behind the bar, and neither it nor line wrapping is switched off: a kill leaves the terminal as it was.
  const draw = () => {
    const width = process.stderr.columns ? process.stderr.columns - 1 : Number.POSITIVE_INFINITY;
    process.stderr.write(`\r\u001b[K${cutToColumns(visible(bar).replaceAll(/[\n\t]/g, ' '), width)}`);
  };
  if (isTerminal) draw();

  return {
    update(done, fields = {}) {
      const rate = rateAt(done);
      const facts = [
        total > 0 ? `${Math.floor((100 * done) / total)} %` : '',
        formatRate(rate, unit),
        rate > 0 && done < total ? `${formatDuration((total - done) / rate)} left` : '',
        ...Object.entries(fields).map(([name, value]) => `${name} ${value}`),
      ];
      bar = joined([`${label} ${barOf(done, total)} ${done}/${total}`, ...facts]);
      const pause = isTerminal ? MS_BETWEEN_BARS : MS_BETWEEN_LINES;
      if (performance.now() - lastShown < pause && done < total) return;
      lastShown = performance.now();
      if (isTerminal) draw();
      else tell(joined([`${label}  ${done}/${total} ${unit}`, ...facts]));
    },
    log(line) {
      if (!isTerminal) return tell(line);
      process.stderr.write(`\r\u001b[K${visible(line)}\n`);
      draw();
    },
    stop() {
      if (!isTerminal) return;
      draw();
      process.stderr.write('\n');
    },
  };
}

/** Shows all on stderr. */
export const terminalReporter: Reporter = { log: tell, start: startProgress };
