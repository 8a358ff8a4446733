import { Presets, SingleBar } from 'cli-progress';
import { tell, visible } from './terminal.js';

/** Shows how far long work has come, on stderr: a bar on a terminal, a line every few seconds elsewhere. */
export interface Progress {
  /** @param done units finished so far  @param total when it was not known at first */
  update(done: number, fields?: Readonly<Record<string, string>>, total?: number): void;
  /** A line of its own, above the bar. */
  log(line: string): void;
  stop(): void;
}

export interface ProgressOptions {
  readonly label: string;
  readonly total: number;
  readonly unit: string;
  /** Units that were done before; they do not count for the rate. */
  readonly start?: number;
}

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

/** Measures units a second, zero until there is something to measure. */
function rateMeter(start: number): (done: number) => number {
  const samples = [{ at: performance.now(), done: start }];
  return (done) => {
    const at = performance.now();
    // The oldest sample is the last one before the window, so that slow units have a rate too.
    while (samples.length > 1 && samples[1]!.at <= at - RATE_WINDOW_MS) samples.shift();
    const oldest = samples[0]!;
    if (at - samples.at(-1)!.at >= MS_BETWEEN_SAMPLES) samples.push({ at, done });
    return at > oldest.at ? (1000 * (done - oldest.done)) / (at - oldest.at) : 0;
  };
}

/** Starts showing on stderr; call `stop` at the end, also after an error. */
export function startProgress({ label, total: known, unit, start = 0 }: ProgressOptions): Progress {
  const bar = process.stderr.isTTY
    ? new SingleBar(
        {
          format: `${visible(label)} {bar} {value}/{total}  {percentage} %  {speed}  {left}  {fields}`,
          stream: process.stderr,
          barsize: 24,
          // Neither hides the cursor nor turns line wrapping off: a kill leaves the terminal as it was.
          hideCursor: false,
          linewrap: true,
          forceRedraw: true,
        },
        Presets.shades_classic,
      )
    : null;
  const rateAt = rateMeter(start);
  let total = known;
  let lastLine = Number.NEGATIVE_INFINITY;
  bar?.start(total, start, { speed: '', left: '', fields: '' });

  return {
    update(done, fields = {}, newTotal = total) {
      total = newTotal;
      const rate = rateAt(done);
      const shown = {
        speed: formatRate(rate, unit),
        left: rate > 0 && done < total ? `${formatDuration((total - done) / rate)} left` : '',
        fields: Object.entries(fields)
          .map(([name, value]) => visible(`${name} ${value}`))
          .join('  '),
      };
      bar?.setTotal(total);
      bar?.update(done, shown);
      if (bar || (performance.now() - lastLine < MS_BETWEEN_LINES && done < total)) return;
      lastLine = performance.now();
      const percent = total > 0 ? `${Math.floor((100 * done) / total)} %` : '';
      const parts = [`${label}  ${done}/${total} ${unit}`, percent, shown.speed, shown.left, shown.fields];
      tell(parts.filter((part) => part !== '').join('  '));
    },
    log(line) {
      // The bar's line is cleared; it comes back below, which is where `stop` shall return to (ESC 7).
      if (bar) process.stderr.write(`\r\u001b[K${visible(line)}\n\u001b7`);
      else tell(line);
    },
    stop: () => bar?.stop(),
  };
}
